#pragma once
// The people of an installation: name, role, password hash, limits. Users are never deleted, only disabled: the audit
// log names them. Any thread; sign_in is slow (password.h).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "services/auth/identity.h"
#include "services/auth/password.h"
#include "storage/database.h"

namespace cove::auth {

struct UserRecord {
  int64_t id = 0;
  std::string name;
  Role role = Role::kUser;
  int64_t created_s = 0;
  std::optional<int64_t> disabled_s;
  int64_t password_changed_s = 0;  // what was signed in earlier is not valid any more
  std::optional<int64_t> last_login_s;
  LimitOverrides limits;
};

struct NewUser {
  std::string name;  // 1 to 64 of a-z 0-9 . _ - @; capitals are folded
  Role role = Role::kUser;
  std::string password;
  LimitOverrides limits{};
};

enum class UserState : uint8_t { kEnabled, kDisabled };

class Users {
 public:
  explicit Users(storage::Database& database, const PasswordCost& cost = {}) : database_(&database), cost_(cost) {}

  // Errors: kInvalidArgument (name, password, or the name is taken).
  Result<UserRecord> create(const NewUser& user, int64_t now_s);
  Result<std::vector<UserRecord>> list();
  // Errors of these: kNotFound.
  Result<UserRecord> find(std::string_view name);
  Result<UserRecord> set_state(std::string_view name, UserState state, int64_t now_s);
  Result<UserRecord> set_password(std::string_view name, std::string_view password, int64_t now_s);
  Result<UserRecord> set_role(std::string_view name, Role role);
  Result<UserRecord> set_limits(std::string_view name, const LimitOverrides& limits);
  // Errors: kUnauthenticated (unknown, disabled, wrong password; the message does not say which, nor does the time it
  // takes), kIo.
  Result<Identity> sign_in(std::string_view name, std::string_view password, int64_t now_s);

 private:
  storage::Database* database_;
  PasswordCost cost_;
};

// As names are stored and compared. Errors: kInvalidArgument.
Result<std::string> user_name(std::string_view text);
Identity identity_of(const UserRecord& user, int64_t now_s);

}  // namespace cove::auth
