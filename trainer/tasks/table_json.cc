// Table look-up and JSON extraction.

#include <algorithm>

#include "tasks/steps.h"
#include "tasks/tasks.h"
#include "tasks/words.h"

namespace cove::trainer {
namespace {

struct Column {
  std::string_view zh, en;
  int64_t low, high;
};

constexpr Column kColumns[] = {{"数学", "Math", 40, 100},         {"语文", "Chinese", 40, 100},
                               {"英语", "English", 40, 100},      {"物理", "Physics", 40, 100},
                               {"价格", "Price", 2, 300},         {"库存", "Stock", 0, 500},
                               {"销量", "Sales", 5, 999},         {"年龄", "Age", 6, 80},
                               {"身高", "Height", 120, 195},      {"体重", "Weight", 30, 100},
                               {"数量", "Count", 1, 200},         {"得分", "Score", 0, 100},
                               {"一月", "Jan", 10, 500},          {"二月", "Feb", 10, 500},
                               {"三月", "Mar", 10, 500},          {"温度", "Temperature", 0, 40},
                               {"人口", "Population", 100, 9999}, {"面积", "Area", 10, 2000}};

struct Table {
  std::string key_title;
  std::vector<std::string> titles, rows;
  std::vector<std::vector<int64_t>> cells;  // [row][column]
};

Table draw_table(const Draw& draw) {
  Rng& rng = draw.rng;
  Table table;
  int64_t kind = rng.range(0, 2);
  table.key_title = kind == 0   ? draw.say("姓名", "Name")
                    : kind == 1 ? draw.say("商品", "Item")
                                : draw.say("城市", "City");
  int64_t rows = rng.range(3, 6), columns = rng.range(2, 4);
  while (static_cast<int64_t>(table.rows.size()) < rows) {
    std::string name = kind == 0   ? person(draw)
                       : kind == 1 ? rng.pick(things(draw.language)).name
                                   : rng.pick(cities(draw.language));
    if (std::find(table.rows.begin(), table.rows.end(), name) == table.rows.end()) table.rows.push_back(name);
  }
  std::vector<const Column*> chosen;
  while (static_cast<int64_t>(chosen.size()) < columns) {
    const Column* c = &kColumns[rng.range(0, static_cast<int64_t>(std::size(kColumns)) - 1)];
    if (std::find(chosen.begin(), chosen.end(), c) == chosen.end()) chosen.push_back(c);
  }
  for (const Column* c : chosen) table.titles.emplace_back(draw.say(c->zh, c->en));
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<int64_t> line;
    for (const Column* c : chosen) {
      int64_t value = 0;
      bool taken = true;
      while (taken) {
        value = rng.range(c->low, c->high);
        taken = false;
        for (const auto& before : table.cells) taken = taken || before[line.size()] == value;
      }
      line.push_back(value);
    }
    table.cells.push_back(line);
  }
  return table;
}

std::string render(const Table& t, bool markdown) {
  std::string out = markdown ? "| " + t.key_title + " |" : t.key_title;
  for (const auto& title : t.titles) out += markdown ? " " + title + " |" : "," + title;
  if (markdown) {
    out += "\n|";
    for (size_t i = 0; i <= t.titles.size(); ++i) out += " --- |";
  }
  for (size_t r = 0; r < t.rows.size(); ++r) {
    out += markdown ? "\n| " + t.rows[r] + " |" : "\n" + t.rows[r];
    for (int64_t v : t.cells[r]) out += markdown ? " " + str(v) + " |" : "," + str(v);
  }
  return out;
}

// A row walked cell by cell, each with its title, then the wanted one: "杯子,语文:75,数学:44,年龄:30|44". The next
// title and the next cell are each a copy of what follows the one before, and the wanted cell then stands beside its
// title: a small network does both more surely than finding the cell at once.
std::string walk(const Table& t, size_t row, size_t column) {
  std::string out = t.rows[row];
  for (size_t i = 0; i < t.titles.size(); ++i) out += "," + t.titles[i] + ":" + str(t.cells[row][i]);
  return out + "|" + str(t.cells[row][column]);
}

struct Question {
  std::string prompt, reasoning, answer, result;
  CheckKind check = CheckKind::kNumber;
};

Question ask_cell(const Draw& draw, const Table& t) {
  Rng& rng = draw.rng;
  size_t r = static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.rows.size()) - 1)),
         c = static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.titles.size()) - 1));
  std::string prompt =
      fill(draw.chinese()
               ? rng.pick({"{r}的{c}是多少?", "根据表格,{r}的{c}是多少?", "查一下{r}的{c}。", "表中{r}的{c}是几?"})
               : rng.pick({"What is the {c} of {r}?", "According to the table, what is {r}'s {c}?",
                           "Look up the {c} for {r}.", "Find {c} for {r}."}),
           {{"r", t.rows[r]}, {"c", t.titles[c]}});
  return {prompt, walk(t, r, c),
          fill(draw.say("{r}的{c}是{v}。", "The {c} of {r} is {v}."),
               {{"r", t.rows[r]}, {"c", t.titles[c]}, {"v", str(t.cells[r][c])}}),
          str(t.cells[r][c])};
}

Question ask_extreme(const Draw& draw, const Table& t) {
  Rng& rng = draw.rng;
  size_t c = static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.titles.size()) - 1)), best = 0;
  bool high = rng.chance(0.5);
  std::string reasoning = walk(t, 0, c);
  for (size_t r = 1; r < t.rows.size(); ++r) {
    reasoning += "\n" + walk(t, r, c) + (t.cells[r][c] > t.cells[best][c] ? ">" : "<") + str(t.cells[best][c]);
    if ((t.cells[r][c] > t.cells[best][c]) == high) best = r;
    reasoning += ":" + t.rows[best] + str(t.cells[best][c]);
  }
  std::string prompt = fill(
      high ? (draw.chinese() ? rng.pick({"谁的{c}最高?", "{c}最大的是哪一个?", "表中{c}最高的是?", "哪一行的{c}最大?"})
                             : rng.pick({"Which has the highest {c}?", "Who or what has the largest {c}?",
                                         "Which row has the greatest {c}?"}))
           : (draw.chinese() ? rng.pick({"谁的{c}最低?", "{c}最小的是哪一个?", "表中{c}最低的是?"})
                             : rng.pick({"Which has the lowest {c}?", "Who or what has the smallest {c}?",
                                         "Which row has the least {c}?"})),
      {{"c", t.titles[c]}});
  std::string answer = fill(high ? draw.say("{r}的{c}最高,是{v}。", "{r} has the highest {c}, {v}.")
                                 : draw.say("{r}的{c}最低,是{v}。", "{r} has the lowest {c}, {v}."),
                            {{"r", t.rows[best]}, {"c", t.titles[c]}, {"v", str(t.cells[best][c])}});
  return {prompt, reasoning, answer, answer, CheckKind::kExact};
}

Question ask_two(const Draw& draw, const Table& t) {
  Rng& rng = draw.rng;
  size_t a = static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.rows.size()) - 1)),
         b = static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.rows.size()) - 1));
  if (a == b) b = (a + 1) % t.rows.size();
  size_t c = static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.titles.size()) - 1));
  bool sum = rng.chance(0.5);
  int64_t x = t.cells[a][c], y = t.cells[b][c];
  if (!sum && x < y) std::swap(x, y), std::swap(a, b);
  std::string prompt =
      fill(sum ? (draw.chinese() ? rng.pick({"{a}和{b}的{c}一共是多少?", "{a}与{b}的{c}之和是多少?"})
                                 : rng.pick({"What is the total {c} of {a} and {b}?", "Add the {c} of {a} and {b}."}))
               : (draw.chinese() ? rng.pick({"{a}的{c}比{b}多多少?", "{a}和{b}的{c}相差多少?"})
                                 : rng.pick({"How much more is the {c} of {a} than that of {b}?",
                                             "What is the difference in {c} between {a} and {b}?"})),
           {{"a", t.rows[a]}, {"b", t.rows[b]}, {"c", t.titles[c]}});
  std::string reasoning = walk(t, a, c) + "\n" + walk(t, b, c) + "\n" + (sum ? add_steps(x, y) : subtract_steps(x, y));
  std::string result = str(sum ? x + y : x - y);
  return {prompt, reasoning,
          fill(sum ? draw.say("一共是{r}。", "The total is {r}.") : draw.say("相差{r}。", "The difference is {r}."),
               {{"r", result}}),
          result};
}

Question ask_count(const Draw& draw, const Table& t) {
  Rng& rng = draw.rng;
  size_t c = static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.titles.size()) - 1));
  int64_t limit =
              t.cells[static_cast<size_t>(rng.range(0, static_cast<int64_t>(t.rows.size()) - 1))][c] + rng.range(-3, 3),
          count = 0;
  std::string reasoning;
  for (size_t r = 0; r < t.rows.size(); ++r) {
    bool above = t.cells[r][c] > limit;
    count += above ? 1 : 0;
    reasoning += (r == 0 ? "" : "\n") + walk(t, r, c) +
                 (above                    ? ">"
                  : t.cells[r][c] == limit ? "="
                                           : "<") +
                 str(limit) + ":" + str(count);
  }
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"{c}超过{l}的有几个?", "有多少行的{c}大于{l}?", "{c}大于{l}的一共有几个?"})
                          : rng.pick({"How many have a {c} above {l}?", "How many rows have {c} greater than {l}?",
                                      "Count the rows with {c} over {l}."}),
           {{"c", t.titles[c]}, {"l", str(limit)}});
  return {prompt, reasoning, fill(draw.say("有{r}个。", "There are {r}."), {{"r", str(count)}}), str(count)};
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

// A sentence about a person or an order, and the fields asked for.
Sample extract(const Draw& draw) {
  Rng& rng = draw.rng;
  struct Fact {
    std::string key, sentence, value;
  };
  std::vector<Fact> facts;
  std::string name = rng.chance(0.5) ? invented_name(draw) : person(draw), city = rng.pick(cities(draw.language));
  int64_t age = rng.range(18, 70), month = rng.range(1, 12), day = rng.range(1, 28), year = rng.range(1960, 2025);
  std::string phone = "1" + str(rng.range(30, 99)) + str(rng.range(10000000, 99999999)),
              job = draw.chinese()
                        ? rng.pick({"工程师", "医生", "老师", "律师", "司机", "厨师", "会计", "设计师", "护士", "记者"})
                        : rng.pick({"engineer", "doctor", "teacher", "lawyer", "driver", "cook", "nurse", "designer",
                                    "writer", "pilot"});
  std::string mail = "user" + str(rng.range(10, 9999)) + "@example.com", thing = rng.pick(things(draw.language)).name,
              count = str(rng.range(1, 500)), price = str(rng.range(2, 9999));
  if (rng.chance(0.6)) {
    facts = {{"name", fill(draw.say("我叫{v}", "My name is {v}"), {{"v", name}}), quoted(name)},
             {"age", fill(draw.say("今年{v}岁", "I am {v} years old"), {{"v", str(age)}}), str(age)},
             {"city", fill(draw.say("住在{v}", "I live in {v}"), {{"v", city}}), quoted(city)},
             {"job", fill(draw.say("是一名{v}", "I work as a {v}"), {{"v", job}}), quoted(job)},
             {"phone", fill(draw.say("电话是{v}", "my phone is {v}"), {{"v", phone}}), quoted(phone)},
             {"email", fill(draw.say("邮箱是{v}", "my email is {v}"), {{"v", mail}}), quoted(mail)}};
  } else {
    std::string date = str(year) + "-" + (month < 10 ? "0" : "") + str(month) + "-" + (day < 10 ? "0" : "") + str(day);
    std::string order = rng.pick({"A", "B", "C", "D", "X", "Z"}) + str(rng.range(1000, 99999));
    facts = {{"order_id", fill(draw.say("订单号{v}", "Order {v}"), {{"v", order}}), quoted(order)},
             {"customer", fill(draw.say("客户{v}", "customer {v}"), {{"v", name}}), quoted(name)},
             {"item", fill(draw.say("购买了{v}", "bought {v}"), {{"v", thing}}), quoted(thing)},
             {"quantity", fill(draw.say("数量{v}", "quantity {v}"), {{"v", count}}), count},
             {"price", fill(draw.say("金额{v}元", "amount {v} dollars"), {{"v", price}}), price},
             {"date", fill(draw.say("日期{v}", "dated {v}"), {{"v", date}}), quoted(date)}};
  }
  // Keep the first fact first; drop some others.
  std::vector<Fact> used = {facts[0]};
  for (size_t i = 1; i < facts.size(); ++i) {
    if (rng.chance(0.6)) used.push_back(facts[i]);
  }
  if (used.size() < 2) used.push_back(facts[2]);
  std::string story;
  for (size_t i = 0; i < used.size(); ++i) story += (i == 0 ? "" : draw.chinese() ? "," : ", ") + used[i].sentence;
  story += draw.say("。", ".");
  std::vector<Fact> wanted = used;
  rng.shuffle(wanted);
  wanted.resize(static_cast<size_t>(rng.range(1, static_cast<int64_t>(wanted.size()))));
  if (rng.chance(0.12)) wanted.push_back({rng.pick({"gender", "fax", "postcode", "company", "nickname"}), "", "null"});
  std::string keys, answer = "{";
  for (size_t i = 0; i < wanted.size(); ++i) {
    keys += (i == 0 ? "" : draw.chinese() ? "、" : ", ") + wanted[i].key;
    answer += (i == 0 ? "" : ", ") + quoted(wanted[i].key) + ": " + wanted[i].value;
  }
  answer += "}";
  std::string prompt = fill(
      draw.chinese() ? rng.pick({"从下面的文字中提取{k},用JSON回答:\n{s}", "提取字段{k},输出JSON。\n文本:{s}",
                                 "{s}\n请把上文的{k}整理成JSON。", "请以JSON格式输出{k}:\n{s}"})
                     : rng.pick({"Extract {k} from the text as JSON:\n{s}", "Return a JSON object with {k}.\nText: {s}",
                                 "{s}\nGive {k} from the text above as JSON.",
                                 "Read the text and output JSON with the keys {k}: {s}"}),
      {{"k", keys}, {"s", story}});
  std::string reasoning;
  for (size_t i = 0; i < wanted.size(); ++i) {
    reasoning +=
        (i == 0 ? "" : "\n") + wanted[i].key + ":" +
        (wanted[i].value == "null" ? std::string(draw.say("文中没有", "not in the text")) : wanted[i].sentence);
  }
  return make_sample(draw, "extract|" + story, prompt, reasoning, answer, {CheckKind::kExact, {answer}});
}

// A JSON object and a question about one value.
Sample read_json(const Draw& draw) {
  Rng& rng = draw.rng;
  static const std::vector<std::string> kKeys = {"id",      "name",  "age",   "city", "price", "count", "status",
                                                 "score",   "level", "color", "size", "type",  "port",  "host",
                                                 "version", "total", "owner", "code", "year",  "model"};
  std::vector<std::string> keys;
  int64_t count = rng.range(3, 6);
  while (static_cast<int64_t>(keys.size()) < count) {
    const std::string& k = rng.pick(kKeys);
    if (std::find(keys.begin(), keys.end(), k) == keys.end()) keys.push_back(k);
  }
  std::vector<std::string> values;
  for (const auto& k : keys) {
    bool text = k == "name" || k == "city" || k == "status" || k == "color" || k == "type" || k == "host" ||
                k == "owner" || k == "model";
    values.push_back(!text           ? str(rng.range(1, rng.chance(0.5) ? 99 : 9999))
                     : k == "city"   ? rng.pick(cities(draw.language))
                     : k == "status" ? rng.pick({"ok", "open", "closed", "active", "error"})
                     : k == "color"  ? rng.pick({"red", "blue", "green", "black", "white"})
                                     : invented_name(draw));
  }
  bool pretty = rng.chance(0.4);
  std::string object = "{";
  for (size_t i = 0; i < keys.size(); ++i) {
    bool number = !values[i].empty() && values[i][0] >= '0' && values[i][0] <= '9';
    object += (i == 0 ? "" : ",") +
              std::string(pretty   ? "\n  "
                          : i == 0 ? ""
                                   : " ") +
              quoted(keys[i]) + ": " + (number ? values[i] : quoted(values[i]));
  }
  object += pretty ? "\n}" : "}";
  size_t at = static_cast<size_t>(rng.range(0, count - 1));
  bool missing = rng.chance(0.1);
  std::string key = keys[at];
  while (missing && std::find(keys.begin(), keys.end(), key) != keys.end()) key = rng.pick(kKeys);
  std::string prompt =
      fill(draw.chinese() ? rng.pick({"{o}\n其中{k}的值是什么?", "下面的JSON里{k}是什么?\n{o}", "读取JSON中的{k}:{o}"})
                          : rng.pick({"{o}\nWhat is the value of {k}?", "In this JSON, what is {k}?\n{o}",
                                      "Read {k} from the JSON: {o}"}),
           {{"o", object}, {"k", quoted(key)}});
  std::string answer =
      missing ? fill(draw.say("JSON中没有{k}。", "The JSON has no {k}."), {{"k", key}})
              : fill(draw.say("{k}的值是{v}。", "The value of {k} is {v}."), {{"k", key}, {"v", values[at]}});
  // The keys are gone through until the wanted one: that a key is missing shows only at the end.
  std::string reasoning;
  for (size_t i = 0; i < keys.size() && (missing || i <= at); ++i) reasoning += (i == 0 ? "" : ",") + keys[i];
  reasoning +=
      "\n" + (missing ? fill(draw.say("没有键{k}", "no key {k}"), {{"k", key}}) : quoted(key) + ": " + values[at]);
  return make_sample(draw, "readjson|" + object, prompt, reasoning, answer, {CheckKind::kExact, {answer}});
}

}  // namespace

Sample table_task(const Draw& draw) {
  Rng& rng = draw.rng;
  Table table = draw_table(draw);
  bool markdown = rng.chance(0.6);
  std::string shown = render(table, markdown);
  int64_t dice = rng.range(0, 99);
  Question q = dice < 40   ? ask_cell(draw, table)
               : dice < 65 ? ask_extreme(draw, table)
               : dice < 88 ? ask_two(draw, table)
                           : ask_count(draw, table);
  std::string prompt = rng.chance(0.7) ? shown + "\n\n" + q.prompt : q.prompt + "\n\n" + shown;
  if (rng.chance(0.3)) prompt = std::string(draw.say("看下面的表格:\n", "Look at this table:\n")) + prompt;
  Sample sample = make_sample(draw, "table|" + shown, prompt, q.reasoning, q.answer, {q.check, {q.result}});
  sample.task = "table";
  return sample;
}

Sample json_task(const Draw& draw) {
  Sample sample = draw.rng.chance(0.65) ? extract(draw) : read_json(draw);
  sample.task = "json";
  return sample;
}

}  // namespace cove::trainer
