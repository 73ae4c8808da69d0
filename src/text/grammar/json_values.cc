#include "text/grammar/json_values.h"

#include "text/grammar/characters.h"
#include "text/grammar/number_grammar.h"

namespace cove::text::grammar {
namespace {

constexpr int64_t kIndentMax = 40;

Fragment space(Network& network) {
  const RuleId blank = network.add_rule();
  network.define(blank, network.choice({network.literal(" "), network.literal("\t")}));
  const Fragment line = network.sequence({network.literal("\n"), network.repeat(blank, 0, kIndentMax)});
  return network.optional(network.choice({network.literal(" "), line}));
}

// "item, item" or nothing.
Fragment list_of(Network& network, const JsonRules& rules, RuleId item) {
  const RuleId more = network.add_rule();
  network.define(more, network.sequence({separator(network, rules), network.call(item)}));
  return network.optional(network.sequence({network.call(item), network.repeat(more, 0, -1)}));
}

}  // namespace

Fragment separator(Network& network, const JsonRules& rules) {
  return network.sequence({network.literal(","), network.call(rules.space)});
}
Fragment colon(Network& network, const JsonRules& rules) {
  return network.sequence({network.literal(":"), network.call(rules.space)});
}
Fragment enclosed(Network& network, const JsonRules& rules, char open, Fragment content, char close) {
  return network.sequence({network.literal({&open, 1}), network.call(rules.space), content, network.call(rules.space),
                           network.literal({&close, 1})});
}

JsonRules add_json_rules(Network& network) {
  JsonRules rules;
  for (RuleId* rule : {&rules.space, &rules.character, &rules.string, &rules.number, &rules.integer, &rules.value,
                       &rules.object, &rules.array}) {
    *rule = network.add_rule();
  }
  network.define(rules.space, space(network));
  network.define(rules.character, any_json_character(network));
  network.define(rules.string, network.sequence({network.literal("\""), network.repeat(rules.character, 0, -1),
                                                 network.literal("\"")}));
  network.define(rules.number, any_number(network));
  network.define(rules.integer, any_integer(network));
  const RuleId member = network.add_rule();
  network.define(member,
                 network.sequence({network.call(rules.string), colon(network, rules), network.call(rules.value)}));
  network.define(rules.object, enclosed(network, rules, '{', list_of(network, rules, member), '}'));
  network.define(rules.array, enclosed(network, rules, '[', list_of(network, rules, rules.value), ']'));
  network.define(rules.value,
                 network.choice({network.call(rules.string), network.call(rules.number), network.call(rules.object),
                                 network.call(rules.array), network.literal("true"), network.literal("false"),
                                 network.literal("null")}));
  return rules;
}

}  // namespace cove::text::grammar
