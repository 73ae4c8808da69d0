// Tool calls: the right function with the right arguments, the answer from a tool's result, and no call when none fits.

#include <algorithm>

#include "tasks/steps.h"
#include "tasks/tasks.h"
#include "tasks/words.h"

namespace cove::trainer {
namespace {

struct Parameter {
  std::string name, zh, en;
};

// One function that a request may offer. `prompts` hold {0} {1} for the parameters.
struct Tool {
  std::vector<std::string> names;
  std::string zh, en;
  std::vector<Parameter> parameters;
  std::vector<std::string> zh_prompts, en_prompts;
};

const std::vector<Tool>& tools() {
  static const std::vector<Tool> list = {
      {{"calculator", "calculate", "calc", "evaluate"},
       "计算数学表达式",
       "Evaluate an arithmetic expression",
       {{"expression", "数学表达式", "The expression"}},
       {"用计算器算一下{0}", "帮我用工具计算{0}", "计算{0}", "{0}等于多少?请用计算器", "{0}=?"},
       {"Use the calculator: {0}", "What is {0}? Use the tool.", "Please calculate {0}",
        "Compute {0} with the calculator"}},
      {{"get_weather", "weather", "query_weather", "get_current_weather"},
       "查询城市天气",
       "Get the weather of a city",
       {{"city", "城市", "City name"}},
       {"{0}今天天气怎么样?", "查一下{0}的天气", "{0}的天气如何?", "{0}现在多少度?", "{0}今天会下雨吗?"},
       {"What's the weather in {0}?", "How is the weather in {0} today?", "Tell me the weather for {0}",
        "Is it raining in {0}?", "Will I need an umbrella in {0}?"}},
      {{"get_weather", "get_forecast", "weather_forecast"},
       "查询某地某天的天气",
       "Get the forecast of a city for a day",
       {{"city", "城市", "City name"}, {"date", "日期", "Day"}},
       {"{0}{1}天气怎么样?", "查询{0}{1}的天气", "{1}{0}会下雨吗?"},
       {"What's the weather in {0} {1}?", "Weather forecast for {0} {1}, please", "Will it rain in {0} {1}?"}},
      {{"get_time", "current_time", "get_current_time"},
       "查询城市当前时间",
       "Get the current time in a city",
       {{"city", "城市", "City name"}},
       {"{0}现在几点?", "查一下{0}的当前时间", "现在{0}是什么时间?"},
       {"What time is it in {0}?", "Tell me the current time in {0}", "What's the time in {0} now?"}},
      {{"search", "web_search", "search_web"},
       "搜索资料",
       "Search for a topic",
       {{"query", "关键词", "What to search for"}},
       {"搜索一下{0}", "帮我查找{0}的资料", "在网上搜{0}"},
       {"Search for {0}", "Look up {0} on the web", "Find information about {0}"}},
      {{"send_email", "send_mail", "email"},
       "发送邮件",
       "Send an email",
       {{"to", "收件人", "Recipient"}, {"subject", "主题", "Subject"}},
       {"给{0}发一封主题为{1}的邮件", "发邮件给{0},主题是{1}"},
       {"Send an email to {0} with the subject {1}", "Email {0}, subject {1}"}},
      {{"translate", "translate_text"},
       "翻译文本",
       "Translate text",
       {{"text", "文本", "The text"}, {"target", "目标语言", "Target language"}},
       {"把“{0}”翻译成{1}", "将{0}译成{1}"},
       {"Translate \"{0}\" into {1}", "How do you say {0} in {1}? Use the tool."}},
      {{"get_stock_price", "stock_price"},
       "查询股票价格",
       "Get a stock price",
       {{"symbol", "股票代码", "Ticker symbol"}},
       {"查询股票{0}的价格", "{0}的股价是多少?"},
       {"What is the stock price of {0}?", "Get the price of {0} stock"}},
      {{"set_reminder", "create_reminder", "add_reminder"},
       "设置提醒",
       "Set a reminder",
       {{"time", "时间", "Time"}, {"content", "内容", "What to remember"}},
       {"{0}提醒我{1}", "设置一个{0}的提醒:{1}"},
       {"Remind me at {0} to {1}", "Set a reminder at {0}: {1}"}},
      {{"convert_currency", "exchange_rate"},
       "货币换算",
       "Convert currency",
       {{"amount", "金额", "Amount"}, {"currency", "目标货币", "Target currency"}},
       {"把{0}元换成{1}", "{0}人民币能换多少{1}?"},
       {"Convert {0} dollars to {1}", "How much is {0} dollars in {1}?"}}};
  return list;
}

std::string value_of(const Draw& draw, const std::string& parameter) {
  Rng& rng = draw.rng;
  if (parameter == "expression") {
    std::string a = str(rng.range(2, 9999)), b = str(rng.range(2, 9999)), c = str(rng.range(2, 99));
    switch (rng.range(0, 3)) {
      case 0: return a + "+" + b;
      case 1: return a + "*" + c;
      case 2: return "(" + a + "-" + c + ")*" + str(rng.range(2, 9));
      default: return a + "-" + b + "+" + c;
    }
  }
  if (parameter == "city") return rng.chance(0.25) ? invented_name(draw) : rng.pick(cities(draw.language));
  if (parameter == "date")
    return draw.chinese() ? rng.pick({"明天", "后天", "今天", "周六", "周日", "下周一"})
                          : rng.pick({"tomorrow", "today", "on Saturday", "on Sunday", "on Monday", "tonight"});
  if (parameter == "query" || parameter == "content") {
    std::string thing = rng.pick(things(draw.language)).name;
    if (parameter == "content")
      return draw.chinese() ? rng.pick({"开会", "吃药", "交作业", "浇花", "买"}) + (rng.chance(0.5) ? thing : "")
                            : rng.pick({"buy ", "pick up ", "order ", "check the "}) + thing;
    return rng.chance(0.5)  ? invented_name(draw)
           : draw.chinese() ? thing + rng.pick({"的做法", "的价格", "的历史", "新闻"})
                            : rng.pick({"the history of ", "the price of ", "news about "}) + thing;
  }
  if (parameter == "to") return draw.chinese() ? person(draw) : person(draw);
  if (parameter == "subject")
    return draw.chinese()
               ? rng.pick({"会议通知", "周报", "请假", "项目进度", "生日聚会", "报价单"})
               : rng.pick({"Meeting", "Weekly report", "Holiday", "Project status", "Birthday party", "Invoice"});
  if (parameter == "text")
    return draw.chinese() ? rng.pick({"你好", "谢谢", "再见", "早上好", "我爱学习", "今天很热"})
                          : rng.pick({"hello", "thank you", "good morning", "see you", "I like tea", "it is cold"});
  if (parameter == "target")
    return draw.chinese() ? rng.pick({"英语", "法语", "日语", "德语", "西班牙语"})
                          : rng.pick({"French", "German", "Chinese", "Spanish", "Japanese"});
  if (parameter == "symbol") {
    std::string symbol;
    for (int64_t i = rng.range(3, 4); i > 0; --i) symbol += static_cast<char>('A' + rng.range(0, 25));
    return symbol;
  }
  if (parameter == "time")
    return str(rng.range(6, 22)) + ":" + (rng.chance(0.5) ? "00" : rng.chance(0.5) ? "30" : "15");
  if (parameter == "amount") return str(rng.range(1, 9999));
  return draw.chinese() ? rng.pick({"美元", "欧元", "日元", "英镑"}) : rng.pick({"euros", "yen", "pounds", "yuan"});
}

ToolDeclaration declaration(const Draw& draw, const Tool& tool, const std::string& name) {
  ToolDeclaration out{name, std::string(draw.say(tool.zh, tool.en)), {}};
  for (const Parameter& p : tool.parameters) out.parameters.push_back({p.name, std::string(draw.say(p.zh, p.en))});
  return out;
}

struct Offer {
  std::vector<const Tool*> tools;
  std::vector<std::string> names;
};

// One to four different functions, `count` of them.
Offer draw_offer(const Draw& draw, int64_t count) {
  Offer offer;
  while (static_cast<int64_t>(offer.tools.size()) < count) {
    const Tool* tool = &tools()[draw.rng.chance(0.45)
                                    ? static_cast<size_t>(draw.rng.range(0, 1))
                                    : static_cast<size_t>(draw.rng.range(0, static_cast<int64_t>(tools().size()) - 1))];
    std::string name = draw.rng.pick(tool->names);
    bool seen = std::find(offer.names.begin(), offer.names.end(), name) != offer.names.end() ||
                std::find(offer.tools.begin(), offer.tools.end(), tool) != offer.tools.end();
    // Two weather functions side by side would have no single right answer.
    for (const Tool* other : offer.tools)
      seen = seen || (other->parameters[0].name == "city" && tool->parameters[0].name == "city" &&
                      other->names[0] == tool->names[0]);
    if (seen) continue;
    offer.tools.push_back(tool);
    offer.names.push_back(name);
  }
  return offer;
}

struct Request {
  std::string prompt;
  ToolCall call;
};

Request draw_request(const Draw& draw, const Tool& tool, const std::string& name) {
  std::string first = value_of(draw, tool.parameters[0].name),
              second = tool.parameters.size() > 1 ? value_of(draw, tool.parameters[1].name) : "";
  std::string arguments = "{\"" + tool.parameters[0].name + "\": \"" + first + "\"";
  if (!second.empty()) arguments += ", \"" + tool.parameters[1].name + "\": \"" + second + "\"";
  return {fill(draw.rng.pick(draw.chinese() ? tool.zh_prompts : tool.en_prompts), {{"0", first}, {"1", second}}),
          {name, arguments + "}"}};
}

Sample call_tool(const Draw& draw) {
  Rng& rng = draw.rng;
  Offer offer = draw_offer(draw, rng.range(1, 4));
  size_t which = static_cast<size_t>(rng.range(0, static_cast<int64_t>(offer.tools.size()) - 1));
  Request request = draw_request(draw, *offer.tools[which], offer.names[which]);
  std::string reasoning = fill(draw.say("要用{n},参数:{a}", "Call {n} with {a}"),
                               {{"n", request.call.name}, {"a", request.call.arguments}});
  Sample sample = make_sample(draw, "call|" + request.call.arguments, request.prompt, reasoning, "",
                              {CheckKind::kTool, {request.call.name, request.call.arguments}});
  for (size_t i = 0; i < offer.tools.size(); ++i)
    sample.tools.push_back(declaration(draw, *offer.tools[i], offer.names[i]));
  sample.calls.push_back(request.call);
  return sample;
}

// The result has come; now it is put into words.
Sample answer_from_result(const Draw& draw) {
  Rng& rng = draw.rng;
  Offer offer = draw_offer(draw, rng.range(1, 3));
  const Tool& tool = *offer.tools[0];
  Request request = draw_request(draw, tool, offer.names[0]);
  std::string kind = tool.parameters[0].name, first = request.call.arguments.substr(kind.size() + 6);
  first = first.substr(0, first.find('"'));
  std::string result, answer, value;
  if (kind == "expression") {
    value = str(rng.range(-999, 99999));
    result = rng.chance(0.5) ? value : "{\"result\": " + value + "}";
    answer = first + draw.say("的结果是", " equals ").data() + value + draw.say("。", ".").data();
  } else if (kind == "city" && tool.names[0] == "get_weather") {
    std::string sky = draw.chinese()
                          ? rng.pick({"晴", "多云", "小雨", "大雨", "阴", "雪", "雷阵雨", "雾"})
                          : rng.pick({"sunny", "cloudy", "rainy", "snowy", "foggy", "windy", "stormy", "clear"});
    value = str(rng.range(-15, 39));
    int64_t form = rng.range(0, 2);
    result = form == 0   ? "{\"temperature\": " + value + ", \"condition\": \"" + sky + "\"}"
             : form == 1 ? sky + (draw.chinese() ? "," : ", ") + value + "°C"
                         : "{\"city\": \"" + first + "\", \"weather\": \"" + sky + "\", \"temp\": " + value + "}";
    answer = fill(draw.say("{c}的天气是{s},气温{t}°C。", "The weather in {c} is {s}, {t}°C."),
                  {{"c", first}, {"s", sky}, {"t", value}});
  } else {
    value = rng.pick({"ok", "done", "success"});
    result = rng.chance(0.5) ? value : "{\"status\": \"" + value + "\"}";
    answer = fill(draw.say("{n}返回的结果是:{v}。", "{n} returned: {v}."), {{"n", request.call.name}, {"v", value}});
  }
  Sample sample =
      make_sample(draw, "result|" + request.call.arguments + result, request.prompt,
                  draw.say("工具返回:", "The tool returned: ").data() + result, answer, {CheckKind::kExact, {answer}});
  sample.messages.push_back({Role::kAssistant, "", {request.call}});
  sample.messages.push_back({Role::kTool, result, {}});
  for (size_t i = 0; i < offer.tools.size(); ++i)
    sample.tools.push_back(declaration(draw, *offer.tools[i], offer.names[i]));
  return sample;
}

// Functions are offered, but the question needs none of them.
Sample no_call(const Draw& draw) {
  Rng& rng = draw.rng;
  Sample sample = rng.chance(0.5) ? chat_task(draw) : word_problem_task(draw);
  Offer offer = draw_offer(draw, rng.range(1, 3));
  for (size_t i = 0; i < offer.tools.size(); ++i) {
    if (offer.tools[i]->parameters[0].name == "expression")
      continue;  // sums belong to the calculator when there is one
    sample.tools.push_back(declaration(draw, *offer.tools[i], offer.names[i]));
  }
  sample.key = "nocall|" + sample.key;
  return sample;
}

}  // namespace

Sample tools_task(const Draw& draw) {
  int64_t dice = draw.rng.range(0, 99);
  Sample sample = dice < 65 ? call_tool(draw) : dice < 88 ? answer_from_result(draw) : no_call(draw);
  sample.task = "tools";
  return sample;
}

}  // namespace cove::trainer
