#pragma once
// The tasks: each draws one sample. The generator calls them until the sample's key falls into the wanted split.

#include "tasks/sample.h"

namespace cove::trainer {

Sample arithmetic_task(const Draw& draw);  // + - × ÷, parentheses, decimals
Sample word_problem_task(const Draw& draw);
Sample percent_task(const Draw& draw);
Sample units_task(const Draw& draw);
Sample dates_task(const Draw& draw);
Sample comparison_task(const Draw& draw);  // comparing and sorting
Sample table_task(const Draw& draw);
Sample json_task(const Draw& draw);
Sample tools_task(const Draw& draw);
Sample reading_task(const Draw& draw);
Sample chat_task(const Draw& draw);       // identity, greetings, thanks, refusals
Sample follow_up_task(const Draw& draw);  // several turns

}  // namespace cove::trainer
