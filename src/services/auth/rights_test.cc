#include "services/auth/rights.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "services/auth/limit_values.h"

namespace cove::auth {
namespace {

constexpr Role kRolesOfTest[] = {Role::kUser, Role::kAuditor, Role::kOperator, Role::kAdmin};

TEST(Rights, a_role_has_what_the_table_gives_and_nothing_else) {
  EXPECT_TRUE(may(Role::kUser, Right::kInfer));
  EXPECT_FALSE(may(Role::kUser, Right::kAdmin));
  EXPECT_FALSE(may(Role::kUser, Right::kAudit));
  EXPECT_FALSE(may(Role::kUser, Right::kOperate));
  EXPECT_FALSE(may(Role::kUser, Right::kKnowledgeWrite));
  EXPECT_TRUE(may(Role::kAuditor, Right::kAudit));
  EXPECT_FALSE(may(Role::kAuditor, Right::kInfer));
  EXPECT_FALSE(may(Role::kAuditor, Right::kAdmin));
  EXPECT_TRUE(may(Role::kOperator, Right::kOperate));
  EXPECT_FALSE(may(Role::kOperator, Right::kAudit));
  EXPECT_FALSE(may(Role::kOperator, Right::kAdmin));
  for (const Right right : all_rights()) EXPECT_TRUE(may(Role::kAdmin, right)) << to_string(right);
}

TEST(Rights, names_round_trip_and_unknown_roles_are_refused) {
  for (const Role role : kRolesOfTest) EXPECT_EQ(parse_role(to_string(role)).value(), role);
  for (const std::string_view wrong : {"", "root", "Admin", "admin ", "user\n"})
    EXPECT_EQ(parse_role(wrong).error().code, ErrorCode::kInvalidArgument) << wrong;
}

TEST(Rights, covers_compares_what_roles_may_do) {
  for (const Role role : kRolesOfTest) {
    EXPECT_TRUE(covers(Role::kAdmin, role));
    EXPECT_TRUE(covers(role, role));
  }
  EXPECT_TRUE(covers(Role::kOperator, Role::kUser));
  EXPECT_FALSE(covers(Role::kUser, Role::kOperator));
  EXPECT_FALSE(covers(Role::kOperator, Role::kAuditor));
  EXPECT_FALSE(covers(Role::kAuditor, Role::kUser));
}

// docs/operations/identity.md shows the table that the code uses: a line for each right, a column for each role.
TEST(Rights, documentation_shows_this_table) {
  const std::string page = read_file(std::string(COVE_SOURCE_DIR) + "/docs/operations/identity.md").value();
  for (const Right right : all_rights()) {
    std::string line = "| `" + std::string(to_string(right)) + "` |";
    for (const Role role : {Role::kAdmin, Role::kOperator, Role::kUser, Role::kAuditor})
      line += may(role, right) ? " yes |" : " - |";
    EXPECT_NE(page.find(line), std::string::npos) << "the page needs a line that begins with: " << line;
  }
}

TEST(Scopes, empty_scopes_narrow_nothing) {
  EXPECT_TRUE(scopes_allow({}, Right::kAdmin, "/v1/admin/users"));
  EXPECT_TRUE(scopes_allow_model({}, "m"));
}

TEST(Scopes, rights_and_paths_and_models_narrow) {
  const Scopes infer = {"infer"};
  EXPECT_TRUE(scopes_allow(infer, Right::kInfer, "/v1/chat/completions"));
  EXPECT_FALSE(scopes_allow(infer, Right::kModels, "/v1/models"));
  const Scopes path = {"route:/v1/chat/completions", "route:/v1/kb/*"};
  EXPECT_TRUE(scopes_allow(path, Right::kInfer, "/v1/chat/completions"));
  EXPECT_FALSE(scopes_allow(path, Right::kInfer, "/v1/chat/completions/x"));
  EXPECT_FALSE(scopes_allow(path, Right::kInfer, "/v1/completions"));
  EXPECT_TRUE(scopes_allow(path, Right::kKnowledge, "/v1/kb/a/search"));
  EXPECT_FALSE(scopes_allow(path, Right::kKnowledge, "/v1/kb"));
  const Scopes model = {"model:a"};
  EXPECT_TRUE(scopes_allow(model, Right::kMetrics, "/metrics")) << "a model narrows models only";
  EXPECT_TRUE(scopes_allow_model(model, "a"));
  EXPECT_FALSE(scopes_allow_model(model, "ab"));
  EXPECT_TRUE(scopes_allow_model(infer, "anything"));
}

TEST(Scopes, what_is_no_scope_is_refused) {
  EXPECT_TRUE(check_scopes({"infer", "knowledge.write", "route:/x", "model:deepseek-ai/DeepSeek-R1", "model:模型"}));
  for (const std::string scope : {"", "everything", "public", "model:", "route:", "route:x", "model:a b", "model:a\"b",
                                  "model:a\\b", "model:\x7F", "model:\xFF", "infer ", "INFER"}) {
    EXPECT_EQ(check_scopes({scope}).error().code, ErrorCode::kInvalidArgument) << scope;
  }
  EXPECT_FALSE(check_scopes({"model:" + std::string(300, 'x')}));
  EXPECT_FALSE(check_scopes(Scopes(65, "infer")));
}

TEST(Scopes, lists_round_trip_as_text) {
  EXPECT_EQ(split_scopes("  a  b c "), (Scopes{"a", "b", "c"}));
  EXPECT_EQ(join_scopes({"a", "b"}), "a b");
  EXPECT_TRUE(split_scopes("").empty());
}

TEST(LimitValues, read_what_they_write) {
  LimitOverrides limits;
  ASSERT_TRUE(set_limit(limits, "requests_per_minute=60"));
  ASSERT_TRUE(set_limit(limits, "tokens_per_day=0"));
  EXPECT_EQ(limits_from_json(limits_json(limits)).value(), limits);
  const LimitValues values =
      with_overrides({.requests_per_minute = 5, .tokens_per_day = 9, .concurrent_requests = 2}, limits);
  EXPECT_EQ(values.requests_per_minute, 60);
  EXPECT_EQ(values.tokens_per_day, 0);
  EXPECT_EQ(values.concurrent_requests, 2);
}

TEST(LimitValues, mistakes_are_named) {
  LimitOverrides limits;
  for (const std::string_view wrong : {"", "requests=1", "requests_per_minute", "requests_per_minute=",
                                       "requests_per_minute=-1", "requests_per_minute=1x", "tokens_per_day=1e9"}) {
    EXPECT_EQ(set_limit(limits, wrong).error().code, ErrorCode::kInvalidArgument) << wrong;
  }
  for (const std::string_view wrong :
       {"[]", R"({"a":1})", R"({"tokens_per_day":"1"})", R"({"tokens_per_day":-1})", R"({"tokens_per_day":1.5})"}) {
    EXPECT_FALSE(limits_from_json(parse_json(wrong).value())) << wrong;
  }
}

}  // namespace
}  // namespace cove::auth
