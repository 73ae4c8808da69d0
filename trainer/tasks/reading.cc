// Reading comprehension over one to four numbered passages: the answer with its citation, or that the documents do not
// say.

#include <algorithm>

#include "tasks/tasks.h"
#include "tasks/words.h"

namespace cove::trainer {
namespace {

// One attribute of an entity: how a passage states it ({e} entity, {v} value), how it is asked, how it is answered.
struct Attribute {
  std::string_view zh, en;          // statement
  std::string_view zh_ask, en_ask;  // question
  std::string_view zh_name, en_name;
  char value;  // n number, y year, p person, c city, m money, t time, d date, w invented word, h phone, o colour, j
               // job, f food, r room
};

struct Domain {
  char entity;  // p person, w invented word, i thing
  std::string_view zh_kind, en_kind;
  std::vector<Attribute> attributes;
};

const std::vector<Domain>& domains() {
  static const std::vector<Domain> list = {
      {'p',
       "",
       "",
       {{"{e}今年{v}岁", "{e} is {v} years old", "{e}多少岁?|{e}今年几岁?", "How old is {e}?|What is {e}'s age?",
         "年龄", "age", 'a'},
        {"{e}出生于{v}年", "{e} was born in {v}", "{e}是哪一年出生的?|{e}出生于哪一年?",
         "In what year was {e} born?|When was {e} born?", "出生年份", "year of birth", 'y'},
        {"{e}住在{v}", "{e} lives in {v}", "{e}住在哪里?|{e}住在哪个城市?",
         "Where does {e} live?|Which city does {e} live in?", "住址", "home", 'c'},
        {"{e}的职业是{v}", "{e} works as a {v}", "{e}的职业是什么?|{e}是做什么工作的?",
         "What is {e}'s job?|What does {e} work as?", "职业", "job", 'j'},
        {"{e}的分机号是{v}", "{e}'s extension is {v}", "{e}的分机号是多少?", "What is {e}'s extension?", "分机号",
         "extension", 'n'},
        {"{e}最喜欢的颜色是{v}", "{e}'s favourite colour is {v}", "{e}最喜欢什么颜色?",
         "What is {e}'s favourite colour?", "最喜欢的颜色", "favourite colour", 'o'},
        {"{e}喜欢吃{v}", "{e} likes to eat {v}", "{e}喜欢吃什么?", "What does {e} like to eat?", "喜欢的食物",
         "favourite food", 'f'},
        {"{e}的办公室在{v}", "{e}'s office is {v}", "{e}的办公室在哪里?|{e}在哪个房间办公?",
         "Where is {e}'s office?|Which room is {e}'s office?", "办公室", "office", 'r'}}},
      {'w',
       "公司",
       "company",
       {{"{e}成立于{v}年", "{e} was founded in {v}", "{e}是哪一年成立的?|{e}成立于哪一年?",
         "When was {e} founded?|In what year was {e} founded?", "成立年份", "founding year", 'y'},
        {"{e}的总部位于{v}", "{e} has its headquarters in {v}", "{e}的总部在哪里?|{e}总部位于哪个城市?",
         "Where is {e}'s headquarters?|In which city is {e} based?", "总部", "headquarters", 'c'},
        {"{e}有{v}名员工", "{e} has {v} employees", "{e}有多少名员工?|{e}的员工人数是多少?",
         "How many employees does {e} have?|How many people work at {e}?", "员工人数", "number of employees", 'n'},
        {"{e}的创始人是{v}", "{e} was started by {v}", "{e}的创始人是谁?|谁创立了{e}?",
         "Who started {e}?|Who is the founder of {e}?", "创始人", "founder", 'p'},
        {"{e}的客服电话是{v}", "{e}'s service phone is {v}", "{e}的客服电话是多少?", "What is {e}'s service phone?",
         "客服电话", "service phone", 'h'},
        {"{e}每年有{v}天年假", "{e} gives {v} days of annual leave", "{e}每年有几天年假?|{e}的年假是多少天?",
         "How many days of annual leave does {e} give?", "年假", "annual leave", 'a'},
        {"{e}每天{v}上班", "Work at {e} starts at {v}", "{e}几点上班?", "When does work at {e} start?", "上班时间",
         "start of work", 't'}}},
      {'w',
       "产品",
       "product",
       {{"{e}的价格是{v}元", "{e} costs {v} dollars", "{e}的价格是多少?|{e}多少钱?",
         "How much does {e} cost?|What is the price of {e}?", "价格", "price", 'n'},
        {"{e}重{v}克", "{e} weighs {v} grams", "{e}有多重?|{e}的重量是多少?",
         "How much does {e} weigh?|What is the weight of {e}?", "重量", "weight", 'n'},
        {"{e}的保修期是{v}个月", "{e} has a warranty of {v} months", "{e}的保修期是多久?|{e}保修几个月?",
         "How long is the warranty of {e}?", "保修期", "warranty", 'a'},
        {"{e}的颜色是{v}", "The colour of {e} is {v}", "{e}是什么颜色?|{e}的颜色是什么?", "What colour is {e}?", "颜色",
         "colour", 'o'},
        {"{e}由{v}设计", "{e} was designed by {v}", "{e}是谁设计的?|谁设计了{e}?", "Who designed {e}?", "设计者",
         "designer", 'p'},
        {"{e}的电池可用{v}小时", "The battery of {e} lasts {v} hours", "{e}的电池能用多久?|{e}的电池可用几小时?",
         "How long does the battery of {e} last?", "电池时间", "battery life", 'a'},
        {"{e}产自{v}", "{e} is made in {v}", "{e}产自哪里?|{e}的产地是哪里?", "Where is {e} made?", "产地", "origin",
         'c'}}},
      {'w',
       "会议",
       "meeting",
       {{"{e}会议在{v}举行", "The {e} meeting takes place on {v}", "{e}会议在哪天举行?|{e}会议是几月几日?",
         "On what date is the {e} meeting?", "会议日期", "date", 'd'},
        {"{e}会议{v}开始", "The {e} meeting starts at {v}", "{e}会议几点开始?",
         "When does the {e} meeting start?|At what time does the {e} meeting start?", "开始时间", "start", 't'},
        {"{e}会议的主持人是{v}", "The {e} meeting is led by {v}", "{e}会议由谁主持?|谁主持{e}会议?",
         "Who leads the {e} meeting?", "主持人", "host", 'p'},
        {"{e}会议的地点是{v}", "The {e} meeting is held in {v}", "{e}会议在哪里开?|{e}会议的地点在哪?",
         "Where is the {e} meeting held?", "地点", "place", 'r'},
        {"{e}会议有{v}人参加", "{v} people attend the {e} meeting", "{e}会议有多少人参加?",
         "How many people attend the {e} meeting?", "参加人数", "attendance", 'n'}}},
      {'w',
       "小镇",
       "town",
       {{"{e}镇有{v}人", "The town of {e} has {v} inhabitants", "{e}镇有多少人?|{e}镇的人口是多少?",
         "How many inhabitants does {e} have?|What is the population of {e}?", "人口", "population", 'n'},
        {"{e}镇以{v}闻名", "{e} is known for its {v}", "{e}镇以什么闻名?", "What is {e} known for?", "特产",
         "speciality", 'f'},
        {"{e}镇的镇长是{v}", "The mayor of {e} is {v}", "{e}镇的镇长是谁?|谁是{e}镇的镇长?", "Who is the mayor of {e}?",
         "镇长", "mayor", 'p'},
        {"{e}镇建于{v}年", "{e} was built in {v}", "{e}镇建于哪一年?", "In what year was {e} built?", "建镇年份",
         "year", 'y'},
        {"{e}镇旁边有{v}河", "The river {v} flows past {e}", "{e}镇旁边是什么河?", "Which river flows past {e}?",
         "河流", "river", 'w'}}},
      {'w',
       "书",
       "book",
       {{"《{e}》的作者是{v}", "The book {e} was written by {v}", "《{e}》的作者是谁?|谁写了《{e}》?",
         "Who wrote the book {e}?|Who is the author of {e}?", "作者", "author", 'p'},
        {"《{e}》出版于{v}年", "{e} was published in {v}", "《{e}》是哪一年出版的?", "When was {e} published?",
         "出版年份", "year", 'y'},
        {"《{e}》共有{v}页", "{e} has {v} pages", "《{e}》有多少页?|《{e}》一共几页?", "How many pages does {e} have?",
         "页数", "pages", 'n'},
        {"《{e}》的主人公叫{v}", "The hero of {e} is called {v}", "《{e}》的主人公叫什么?",
         "What is the hero of {e} called?", "主人公", "hero", 'w'}}},
      {'w',
       "商店",
       "shop",
       {{"{e}店{v}开门", "The shop {e} opens at {v}", "{e}店几点开门?", "When does the shop {e} open?", "开门时间",
         "opening time", 't'},
        {"{e}店的店主是{v}", "The owner of {e} is {v}", "{e}店的店主是谁?", "Who is the owner of {e}?", "店主", "owner",
         'p'},
        {"{e}店卖得最好的是{v}", "The best seller of {e} is {v}", "{e}店什么卖得最好?",
         "What is the best seller of {e}?", "热销品", "best seller", 'f'},
        {"{e}店的电话是{v}", "The phone of {e} is {v}", "{e}店的电话是多少?", "What is the phone number of {e}?",
         "电话", "phone", 'h'},
        {"{e}店开在{v}", "{e} is in {v}", "{e}店开在哪里?|{e}店在哪个城市?",
         "Where is {e}?|In which city is the shop {e}?", "地址", "city", 'c'}}}};
  return list;
}

std::string draw_value(const Draw& draw, char kind) {
  Rng& rng = draw.rng;
  bool zh = draw.chinese();
  switch (kind) {
    case 'a': return str(rng.range(3, 90));
    case 'n': return str(rng.range(10, rng.chance(0.5) ? 999 : 9999));
    case 'y': return str(rng.range(1850, 2024));
    case 'p': return rng.chance(0.6) ? invented_name(draw) : rng.pick(person_names(draw.language));
    case 'c': return rng.chance(0.2) ? invented_name(draw) : rng.pick(cities(draw.language));
    case 't': return str(rng.range(6, 20)) + ":" + (rng.chance(0.5) ? "00" : "30");
    case 'd':
      return zh ? str(rng.range(1, 12)) + "月" + str(rng.range(1, 28)) + "日"
                : rng.pick({"January ", "March ", "May ", "June ", "July ", "August ", "October ", "December "}) +
                      str(rng.range(1, 28));
    case 'w': return invented_name(draw);
    case 'h':
      return zh ? "400-" + str(rng.range(1000, 9999)) + "-" + str(rng.range(100, 999))
                : "555-" + str(rng.range(1000, 9999));
    case 'o':
      return zh ? rng.pick({"红色", "蓝色", "绿色", "黄色", "白色", "黑色", "紫色", "橙色", "灰色", "粉色"})
                : rng.pick({"red", "blue", "green", "yellow", "white", "black", "purple", "orange", "grey", "pink"});
    case 'j':
      return zh ? rng.pick({"工程师", "医生", "老师", "律师", "司机", "厨师", "会计", "设计师", "护士", "记者", "画家",
                            "警察"})
                : rng.pick({"engineer", "doctor", "teacher", "lawyer", "driver", "cook", "nurse", "designer", "painter",
                            "pilot"});
    case 'r':
      return zh ? str(rng.range(1, 20)) + "楼" + str(rng.range(101, 999)) + "室" : "room " + str(rng.range(101, 999));
    default: return rng.pick(things(draw.language)).name;
  }
}

std::string entity_of(const Draw& draw, const Domain& domain) {
  // Entities of the held-out split never occur in training.
  for (;;) {
    std::string name = domain.entity == 'p' && draw.rng.chance(0.5)
                           ? draw.rng.pick(person_names(draw.language)) + (draw.rng.chance(0.3) ? "" : "")
                           : invented_name(draw);
    if (domain.entity == 'p' && name.size() < 4) continue;
    if (held_out("entity|" + name) == (draw.split == Split::kHeldOut)) return name;
  }
}

struct Stated {
  const Attribute* attribute;
  std::string entity, value, sentence;
};

struct Passage {
  std::string text;
  std::vector<Stated> facts;
};

constexpr std::string_view kFillerZh[] = {
    "这一点大家都知道",     "更多信息请看公告", "详情可以咨询前台", "以上内容每年更新一次", "欢迎随时联系",
    "这份说明由办公室整理", "最近天气很好",     "相关资料已经归档", "如有变动会另行通知",   "这里风景很美"};
constexpr std::string_view kFillerEn[] = {"This is well known",
                                          "More details are on the notice board",
                                          "Please ask at the front desk",
                                          "The text is updated once a year",
                                          "Visitors are welcome",
                                          "The office prepared this note",
                                          "The weather has been fine lately",
                                          "The files are in the archive",
                                          "Changes will be announced",
                                          "The place is quiet and green"};

std::string pronoun_form(const Draw& draw, std::string sentence, const std::string& entity, char kind) {
  // A later sentence of a Chinese passage may say 他 or 该公司 instead of the name; here only people, where it stays
  // natural.
  if (!draw.chinese() || kind != 'p' || !draw.rng.chance(0.35) || !sentence.starts_with(entity)) return sentence;
  return "他" + sentence.substr(entity.size());
}

Passage draw_passage(const Draw& draw, const Domain& domain, const std::string& entity) {
  Rng& rng = draw.rng;
  Passage passage;
  std::vector<size_t> order(domain.attributes.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  rng.shuffle(order);
  int64_t count = rng.range(1, std::min<int64_t>(4, static_cast<int64_t>(order.size()) - 1));
  std::vector<std::string> sentences;
  for (int64_t i = 0; i < count; ++i) {
    const Attribute& a = domain.attributes[order[static_cast<size_t>(i)]];
    std::string value = draw_value(draw, a.value);
    std::string sentence = fill(draw.say(a.zh, a.en), {{"e", entity}, {"v", value}});
    passage.facts.push_back({&a, entity, value, sentence});
    sentences.push_back(i == 0 ? sentence : pronoun_form(draw, sentence, entity, domain.entity));
  }
  if (rng.chance(0.3))
    sentences.insert(sentences.begin() + rng.range(1, static_cast<int64_t>(sentences.size())),
                     std::string(draw.chinese() ? kFillerZh[rng.range(0, 9)] : kFillerEn[rng.range(0, 9)]));
  for (size_t i = 0; i < sentences.size(); ++i) {
    bool comma = draw.chinese() && i + 1 < sentences.size() && rng.chance(0.5);
    passage.text += sentences[i] + (draw.chinese() ? (comma ? "," : "。") : i + 1 < sentences.size() ? ". " : ".");
  }
  return passage;
}

std::string pick_question(Rng& rng, std::string_view alternatives) {
  size_t bar = alternatives.find('|');
  if (bar == std::string_view::npos) return std::string(alternatives);
  return std::string(rng.chance(0.5) ? alternatives.substr(0, bar) : alternatives.substr(bar + 1));
}

std::string compose(const Draw& draw, const std::vector<Passage>& passages, const std::string& question) {
  Rng& rng = draw.rng;
  std::string documents;
  std::string separator = rng.chance(0.6) ? "\n" : "\n\n";
  for (size_t i = 0; i < passages.size(); ++i)
    documents += (i == 0 ? "" : separator) + "[" + str(static_cast<int64_t>(i) + 1) + "] " + passages[i].text;
  return fill(draw.chinese()
                  ? rng.pick({"{d}\n\n问题:{q}", "阅读以下文档并回答问题。\n{d}\n问题:{q}",
                              "根据下面的文档回答,并注明出处:\n{d}\n\n{q}", "文档:\n{d}\n\n请根据文档回答:{q}",
                              "资料:\n{d}\n\n{q}", "已知:\n{d}\n请回答:{q}"})
                  : rng.pick({"{d}\n\nQuestion: {q}", "Read the documents and answer the question.\n{d}\nQuestion: {q}",
                              "Answer from the documents below and cite the source.\n{d}\n\n{q}",
                              "Documents:\n{d}\n\nUsing the documents, answer: {q}", "Context:\n{d}\n\n{q}"}),
              {{"d", documents}, {"q", question}});
}

}  // namespace

Sample reading_task(const Draw& draw) {
  Rng& rng = draw.rng;
  int64_t count = rng.range(1, 4);
  bool same_domain = rng.chance(0.65);
  const Domain* domain = &rng.pick(domains());
  std::vector<const Domain*> kinds;
  std::vector<std::string> entities;
  std::vector<Passage> passages;
  for (int64_t i = 0; i < count; ++i) {
    kinds.push_back(i == 0 || same_domain ? domain : &rng.pick(domains()));
    std::string entity = entity_of(draw, *kinds.back());
    while (std::find(entities.begin(), entities.end(), entity) != entities.end())
      entity = entity_of(draw, *kinds.back());
    entities.push_back(entity);
    passages.push_back(draw_passage(draw, *kinds.back(), entity));
  }
  size_t at = static_cast<size_t>(rng.range(0, count - 1));
  std::string key = "read|" + entities[at], missing(draw.say("文档中没有相关信息。", "This is not in the documents."));
  int64_t dice = rng.range(0, 99);
  Sample sample;
  if (dice < 70) {
    const Stated& fact =
        passages[at].facts[static_cast<size_t>(rng.range(0, static_cast<int64_t>(passages[at].facts.size()) - 1))];
    std::string question =
        fill(pick_question(rng, draw.say(fact.attribute->zh_ask, fact.attribute->en_ask)), {{"e", fact.entity}});
    std::string source = "[" + str(static_cast<int64_t>(at) + 1) + "]";
    std::string answer = fact.sentence + std::string(draw.say("", " ")) + source + std::string(draw.say("。", "."));
    sample = make_sample(draw, key, compose(draw, passages, question), source + " " + fact.entity + ":" + fact.sentence,
                         answer, {CheckKind::kContains, {fact.value, source}});
  } else {
    // Either the entity is there but not this attribute, or the entity is not there at all.
    bool no_entity = dice >= 85;
    const Attribute* asked = nullptr;
    for (const Attribute& a : kinds[at]->attributes) {
      bool stated = std::any_of(passages[at].facts.begin(), passages[at].facts.end(),
                                [&](const Stated& s) { return s.attribute == &a; });
      if (!stated && (asked == nullptr || rng.chance(0.5))) asked = &a;
    }
    if (no_entity || asked == nullptr)
      asked =
          &kinds[at]
               ->attributes[static_cast<size_t>(rng.range(0, static_cast<int64_t>(kinds[at]->attributes.size()) - 1))];
    std::string entity = entities[at];
    while (no_entity && std::find(entities.begin(), entities.end(), entity) != entities.end())
      entity = entity_of(draw, *kinds[at]);
    std::string question = fill(pick_question(rng, draw.say(asked->zh_ask, asked->en_ask)), {{"e", entity}});
    std::string reasoning = no_entity ? fill(draw.say("没有提到{e}", "{e} is not mentioned"), {{"e", entity}})
                                      : "[" + str(static_cast<int64_t>(at) + 1) + "] " + entity +
                                            fill(draw.say(":没有说{a}", ": the {a} is not given"),
                                                 {{"a", std::string(draw.say(asked->zh_name, asked->en_name))}});
    sample = make_sample(draw, "read|" + entities[at], compose(draw, passages, question), reasoning, missing,
                         {CheckKind::kExact, {missing}});
  }
  sample.task = "reading";
  return sample;
}

}  // namespace cove::trainer
