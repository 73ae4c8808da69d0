#pragma once
// From a request's body to what the engine takes and who makes the answer: parse, plugins, prepare. Runs on a work
// queue. Also what the audit log keeps of it. Used by endpoints/generate.cc and, to run a recorded request again, by
// rerun.cc.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/api/engine.h"
#include "server/dto/api_error.h"
#include "server/generation/answer.h"
#include "server/served_model.h"
#include "services/audit/record.h"
#include "services/plugins/plugin_set.h"

namespace cove::server {

// A request that is ready for the engine.
struct Plan {
  std::vector<engine::Request> requests;
  std::unique_ptr<Answer> answer;
  size_t choices_per_prompt = 1;
  Delivery delivery = Delivery::kWhole;
  plugins::Pace answer_pace = plugins::Pace::kQuick;
};

using PluginRunPtr = std::shared_ptr<plugins::PluginRun>;  // null = no plugin applies; the answer goes on with it

struct PlanInput {
  const ServedModel& model;
  std::string_view body;
  PluginRunPtr plugins{};
  int64_t now_s = 0;  // for templates that show the date
  // What an earlier run of this request used: takes the place of defaults, and of the seed. Null = none.
  const audit::Parameters* resolved = nullptr;
  KeepShown keep = KeepShown::kNo;
  // Where to put what the audit log shall know: model and parameters, and the texts with keep. Null = not audited.
  // Also filled when a plugin refuses the prompt.
  audit::Generation* audited = nullptr;
};
using MakePlan = ApiResult<Plan> (*)(const PlanInput& input);

ApiResult<Plan> plan_chat(const PlanInput& input);
ApiResult<Plan> plan_completion(const PlanInput& input);

}  // namespace cove::server
