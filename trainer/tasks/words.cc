#include "tasks/words.h"

namespace cove::trainer {

const std::vector<std::string>& person_names(Language language) {
  static const std::vector<std::string> zh = {
      "小明",   "小红",   "小刚",   "小丽", "小华", "小强", "小芳", "小军", "小美", "小李", "小王",   "小张",
      "小林",   "小雨",   "小云",   "小龙", "小梅", "小东", "小亮", "小雪", "小杰", "小兰", "小波",   "小燕",
      "小虎",   "小玲",   "小飞",   "小静", "小陈", "小周", "小赵", "小吴", "小何", "小马", "小黄",   "小敏",
      "李雷",   "韩梅梅", "王芳",   "张伟", "刘洋", "陈静", "杨帆", "赵磊", "孙悦", "周杰", "吴敏",   "郑凯",
      "冯涛",   "何琳",   "妈妈",   "爸爸", "爷爷", "奶奶", "哥哥", "姐姐", "弟弟", "妹妹", "王老师", "李阿姨",
      "张叔叔", "陈师傅", "刘医生", "老王", "老李", "老张", "阿明", "阿强", "丽丽", "明明", "亮亮",   "乐乐"};
  static const std::vector<std::string> en = {
      "Tom",     "Mary",       "John",     "Lucy",     "Ben",    "Anna",  "Jack",   "Emma",   "Sam",   "Lily",
      "David",   "Sara",       "Peter",    "Kate",     "Mike",   "Jane",  "Paul",   "Rose",   "Leo",   "Nina",
      "Alex",    "Zoe",        "Max",      "Amy",      "Daniel", "Grace", "Oscar",  "Ella",   "Henry", "Alice",
      "James",   "Julia",      "Adam",     "Clara",    "Luke",   "Mia",   "Noah",   "Olivia", "Ethan", "Sophie",
      "Ryan",    "Chloe",      "Jacob",    "Hannah",   "Eric",   "Laura", "Kevin",  "Maria",  "Simon", "Helen",
      "Mark",    "Linda",      "George",   "Carol",    "Frank",  "Diana", "Victor", "Irene",  "Bob",   "Susan",
      "Mr. Lee", "Mrs. Brown", "Ms. Chen", "Mr. Smith"};
  return language == Language::kChinese ? zh : en;
}

const std::vector<Thing>& things(Language language) {
  static const std::vector<Thing> zh = {
      {"苹果", "个", "", "food"},   {"橘子", "个", "", "food"},   {"梨", "个", "", "food"},
      {"桃子", "个", "", "food"},   {"西瓜", "个", "", "food"},   {"香蕉", "根", "", "food"},
      {"草莓", "颗", "", "food"},   {"糖果", "颗", "", "food"},   {"糖", "块", "", "food"},
      {"饼干", "块", "", "food"},   {"巧克力", "块", "", "food"}, {"鸡蛋", "个", "", "food"},
      {"面包", "个", "", "food"},   {"包子", "个", "", "food"},   {"饺子", "个", "", "food"},
      {"葡萄", "颗", "", "food"},   {"蛋糕", "块", "", "food"},   {"核桃", "个", "", "food"},
      {"橙子", "个", "", "food"},   {"樱桃", "颗", "", "food"},   {"书", "本", "", "book"},
      {"故事书", "本", "", "book"}, {"漫画书", "本", "", "book"}, {"本子", "本", "", "book"},
      {"笔记本", "本", "", "book"}, {"铅笔", "支", "", "toy"},    {"钢笔", "支", "", "toy"},
      {"彩笔", "支", "", "toy"},    {"橡皮", "块", "", "toy"},    {"尺子", "把", "", "toy"},
      {"气球", "个", "", "toy"},    {"玩具车", "辆", "", "toy"},  {"玩具", "个", "", "toy"},
      {"邮票", "张", "", "toy"},    {"卡片", "张", "", "toy"},    {"贴纸", "张", "", "toy"},
      {"弹珠", "颗", "", "toy"},    {"积木", "块", "", "toy"},    {"球", "个", "", "toy"},
      {"足球", "个", "", "toy"},    {"纸鹤", "只", "", "toy"},    {"花", "朵", "", "toy"},
      {"硬币", "枚", "", "toy"},    {"杯子", "个", "", "toy"},    {"票", "张", "", "toy"}};
  static const std::vector<Thing> en = {{"apples", "", "apple", "food"},
                                        {"oranges", "", "orange", "food"},
                                        {"pears", "", "pear", "food"},
                                        {"peaches", "", "peach", "food"},
                                        {"bananas", "", "banana", "food"},
                                        {"strawberries", "", "strawberry", "food"},
                                        {"candies", "", "candy", "food"},
                                        {"cookies", "", "cookie", "food"},
                                        {"eggs", "", "egg", "food"},
                                        {"muffins", "", "muffin", "food"},
                                        {"grapes", "", "grape", "food"},
                                        {"cakes", "", "cake", "food"},
                                        {"chocolates", "", "chocolate", "food"},
                                        {"walnuts", "", "walnut", "food"},
                                        {"cherries", "", "cherry", "food"},
                                        {"lemons", "", "lemon", "food"},
                                        {"books", "", "book", "book"},
                                        {"comics", "", "comic", "book"},
                                        {"notebooks", "", "notebook", "book"},
                                        {"magazines", "", "magazine", "book"},
                                        {"pencils", "", "pencil", "toy"},
                                        {"pens", "", "pen", "toy"},
                                        {"crayons", "", "crayon", "toy"},
                                        {"erasers", "", "eraser", "toy"},
                                        {"balloons", "", "balloon", "toy"},
                                        {"toy cars", "", "toy car", "toy"},
                                        {"stamps", "", "stamp", "toy"},
                                        {"cards", "", "card", "toy"},
                                        {"stickers", "", "sticker", "toy"},
                                        {"marbles", "", "marble", "toy"},
                                        {"blocks", "", "block", "toy"},
                                        {"balls", "", "ball", "toy"},
                                        {"flowers", "", "flower", "toy"},
                                        {"coins", "", "coin", "toy"},
                                        {"cups", "", "cup", "toy"},
                                        {"tickets", "", "ticket", "toy"},
                                        {"shells", "", "shell", "toy"}};
  return language == Language::kChinese ? zh : en;
}

const std::vector<std::string>& cities(Language language) {
  static const std::vector<std::string> zh = {
      "北京", "上海", "广州", "深圳", "杭州", "南京", "成都", "重庆",   "武汉", "西安", "苏州",
      "天津", "青岛", "大连", "厦门", "长沙", "昆明", "郑州", "济南",   "合肥", "福州", "南宁",
      "贵阳", "兰州", "拉萨", "海口", "三亚", "香港", "澳门", "台北",   "东京", "首尔", "新加坡",
      "曼谷", "伦敦", "巴黎", "柏林", "罗马", "纽约", "悉尼", "莫斯科", "开罗"};
  static const std::vector<std::string> en = {
      "Beijing", "Shanghai", "Guangzhou", "Shenzhen", "Hangzhou", "Nanjing",  "Chengdu",   "Wuhan",   "Xi'an",
      "Qingdao", "London",   "Paris",     "Berlin",   "Rome",     "Madrid",   "Vienna",    "Oslo",    "Dublin",
      "Lisbon",  "Prague",   "Athens",    "Warsaw",   "New York", "Boston",   "Chicago",   "Seattle", "Denver",
      "Toronto", "Sydney",   "Melbourne", "Tokyo",    "Osaka",    "Seoul",    "Singapore", "Bangkok", "Delhi",
      "Mumbai",  "Cairo",    "Nairobi",   "Lima",     "Moscow",   "Istanbul", "Dubai",     "Zurich"};
  return language == Language::kChinese ? zh : en;
}

const std::vector<std::string>& weekdays(Language language) {
  static const std::vector<std::string> zh = {"星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"};
  static const std::vector<std::string> en = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                              "Friday", "Saturday", "Sunday"};
  return language == Language::kChinese ? zh : en;
}

const std::vector<std::string>& months() {
  static const std::vector<std::string> names = {"January", "February", "March",     "April",   "May",      "June",
                                                 "July",    "August",   "September", "October", "November", "December"};
  return names;
}

namespace {

// Common characters of Chinese names and places, three bytes each.
constexpr std::string_view kNameCharacters =
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪"
    "田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯"
    "邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文安宁平和明光华东西南北春秋天地山水海河湖云雨雪风星月日阳青红绿蓝紫玉石松竹梅兰"
    "花草木林森志伟国强军民建新德永福贵成达兴旺瑞祥嘉佳"
    "美丽静雅文慧思敏娜婷欣怡然博宇浩轩子涵泽睿晨逸飞翔鹏远航洋波涛清源";

std::string invented_word(Rng& rng) {
  static constexpr std::string_view kStarts[] = {"b", "br", "c", "d",  "dr", "f", "g",  "gl", "h",  "j", "k", "kr", "l",
                                                 "m", "n",  "p", "qu", "r",  "s", "st", "t",  "tr", "v", "w", "z"};
  static constexpr std::string_view kVowels[] = {"a", "e", "i", "o", "u", "ai", "ea", "ou"};
  static constexpr std::string_view kEnds[] = {"", "n", "r", "l", "s", "x", "m", "th", "nd"};
  std::string word;
  for (int64_t i = rng.range(2, 3); i > 0; --i) {
    word += kStarts[rng.range(0, 24)];
    word += kVowels[rng.range(0, 7)];
    if (i == 1) word += kEnds[rng.range(0, 8)];
  }
  word[0] = static_cast<char>(word[0] - 'a' + 'A');
  return word;
}

}  // namespace

std::string invented_name(const Draw& draw) {
  if (!draw.chinese()) return invented_word(draw.rng);
  std::string name;
  int64_t characters = static_cast<int64_t>(kNameCharacters.size() / 3);
  for (int64_t i = draw.rng.range(2, 3); i > 0; --i)
    name += kNameCharacters.substr(static_cast<size_t>(draw.rng.range(0, characters - 1)) * 3, 3);
  return name;
}

std::string person(const Draw& draw) {
  if (draw.rng.chance(0.12)) return invented_name(draw);
  return draw.rng.pick(person_names(draw.language));
}

std::string another_person(const Draw& draw, const std::string& other) {
  for (;;) {
    std::string name = person(draw);
    if (name != other) return name;
  }
}

}  // namespace cove::trainer
