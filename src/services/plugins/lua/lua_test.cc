#include <chrono>
#include <fstream>

#include <gtest/gtest.h>

#include "services/plugins/lua/sandbox.h"
#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class LuaScripts : public ::testing::Test {
 protected:
  PluginOptions options(const std::string& source) {
    const auto path = std::filesystem::path(::testing::TempDir()) /
                      (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + ".lua");
    std::ofstream(path) << source;
    PluginOptions options;
    options.name = "script";
    options.type = PluginType::kLua;
    options.lua.file = path;
    options.timeout = milliseconds(5000);
    return options;
  }
  std::unique_ptr<PluginSet> open(const PluginOptions& options) {
    auto set = PluginSet::create({options});
    EXPECT_TRUE(set) << set.error().message;
    return set ? std::move(*set) : nullptr;
  }
  std::unique_ptr<PluginSet> open(const std::string& source) { return open(options(source)); }
  std::string error_of(const std::string& source) {
    const auto set = PluginSet::create({options(source)});
    return set ? "no error" : set.error().message;
  }
};

TEST_F(LuaScripts, change_prompts_and_answers) {
  PluginOptions wanted = options(R"(
    function preprocess(input)
      input.system = "Be " .. settings .. " to " .. request.role
      for _, t in ipairs(input.texts) do t.text = t.role .. ":" .. t.text:upper() end
      if input.texts[1].text == "user:STOP" then return false, "stopped" end
    end
    function postprocess(text, info)
      if text == "end" then return "cut", "block" end
      if info.stage == "reasoning" then return nil end
      return text:gsub("%d", "#") .. (info.last and "!" or "")
    end)");
  wanted.lua.settings = "kind";
  const auto set = open(wanted);
  auto run = set->open({.role = "admin"});
  Input input;
  input.texts = {{"user", "hi"}};
  EXPECT_EQ(run->preprocess(input)->decision, Decision::kPass);
  EXPECT_EQ(input.texts[0].text, "user:HI");
  EXPECT_EQ(input.system, "Be kind to admin");
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "a1b2"})->text, "a#b#");
  EXPECT_EQ(run->postprocess({.text_id = 1, .text = "3", .end = End::kLast})->text, "#!");
  EXPECT_EQ(run->postprocess({.text_id = 2, .stage = Stage::kReasoning, .text = "4"})->text, "4");
  const auto cut = run->postprocess({.text_id = 3, .text = "end"});
  EXPECT_EQ(cut->text, "cut");
  EXPECT_EQ(cut->decision, Decision::kBlock);
  Input stop;
  stop.texts = {{"user", "stop"}};
  EXPECT_EQ(set->open({})->preprocess(stop)->message, "stopped");
}

TEST_F(LuaScripts, the_example_works_at_every_cut) {
  PluginOptions example;
  example.name = "tickets";
  example.type = PluginType::kLua;
  example.lua.file = std::filesystem::path(COVE_SOURCE_DIR) / "docs/examples/plugins/tickets.lua";
  example.lua.settings = "https://t/";
  const auto set = open(example);
  const std::string_view text = "See TICKET-12 and TICKET-7. The End";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    auto run = set->open({.role = "user"});
    std::string out = run->postprocess({.text_id = 1, .text = text.substr(0, cut)})->text;
    out += run->postprocess({.text_id = 1, .text = text.substr(cut)})->text;
    out += run->postprocess({.text_id = 1, .text = "", .end = End::kLast})->text;
    ASSERT_EQ(out, "See https://t/12 and https://t/7. The End") << cut;
  }
  Input input;
  input.texts = {{"user", "show me the on-call list"}};
  EXPECT_EQ(set->open({.role = "user"})->preprocess(input)->decision, Decision::kBlock);
  EXPECT_EQ(set->open({.role = "admin"})->preprocess(input)->decision, Decision::kPass);
}

TEST_F(LuaScripts, requests_do_not_see_each_other) {
  const auto set = open(R"(
    count = 0
    function postprocess(text)
      count = count + 1
      string.secret = (string.secret or "") .. text
      return count .. string.secret
    end)");
  auto first = set->open({});
  auto second = set->open({});
  EXPECT_EQ(first->postprocess({.text_id = 1, .text = "a"})->text, "1a");
  EXPECT_EQ(first->postprocess({.text_id = 1, .text = "b"})->text, "2ab");
  EXPECT_EQ(second->postprocess({.text_id = 1, .text = "c"})->text, "1c");
}

TEST_F(LuaScripts, errors_name_the_line) {
  EXPECT_NE(error_of("function preprocess(").find("errors_name_the_line.lua:1:"), std::string::npos);
  EXPECT_NE(error_of("x = 1").find("defines neither preprocess nor postprocess"), std::string::npos);
  EXPECT_NE(error_of("\n\nerror('boo')").find(".lua:3: boo"), std::string::npos);
}

TEST_F(LuaScripts, nothing_leads_out_of_the_sandbox) {
  const auto set = open(R"(
    function postprocess()
      local found = {}
      for _, name in ipairs({"io", "os", "require", "debug", "load", "loadfile", "dofile", "loadstring", "package",
                             "coroutine", "collectgarbage", "print", "xpcall", "warn"}) do
        if _G[name] ~= nil then found[#found + 1] = name end
      end
      if string.dump then found[#found + 1] = "string.dump" end
      if getmetatable("") then found[#found + 1] = "metatable of strings" end
      return table.concat(found, ",")
    end)");
  EXPECT_EQ(set->open({})->postprocess({.text_id = 1, .text = ""})->text, "");
}

// Every way known to keep a Lua state busy: each must end by a limit, soon.
TEST_F(LuaScripts, no_script_runs_for_ever) {
  const char* bodies[] = {
      "while true do end",
      "while true do pcall(function() while true do end end) end",
      "local function f() return f() end return f()",
      "local function f() return pcall(f) end f() while true do pcall(f) end",
      "return (('a'):rep(30)):match(('a?'):rep(30) .. ('a'):rep(30) .. 'b')",
      "local s = ('a'):rep(100000) return s:match('.-.-.-.-b')",
      "return ('a'):rep(50000):find(('a*'):rep(100) .. 'b')",
      "return ('x'):rep(100000):gsub('x*x*x*y', '')",
      "for a in ('x'):rep(100000):gmatch('.-.-.-y') do end",
      "return ('x'):rep(1e15)",
      "return ('x'):rep(1e9, 'yy')",
      "table.move({}, 1, 1e12, 2)",
      "table.insert(setmetatable({}, {__len = function() return 1e15 end}), 1, 1)",
      "local t = {} for i = 0, 50 do t[2^i // 1 | 0] = 1 end for i = 1, 1e9 do table.insert(t, 1, 1) end",
      "setmetatable({}, {__gc = function() while true do end end})",
      "table.concat(setmetatable({}, {__index = function() return '' end, __len = function() return 1e15 end}))",
      "table.unpack({}, 1, 1e8)",
      "local t = {} for i = 1, 1e9 do t[i] = i end",
      "local s = 'x' while true do s = s .. s end",
      "local s = 'x' while true do pcall(function() s = s .. s end) end",
      "local t = {} for i = 1, 1e6 do t[i] = tostring(i) end while true do table.sort(t, function(a, b) return a < b "
      "end) end",
      "while true do string.format('%99d', 1) end",
      "local s = ('x'):rep(4e6) while true do s:upper() end",
      "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return t[1]",
      "error(setmetatable({}, {__tostring = function() while true do end end}))",
      "local f = function(a) return a end for i = 1, 1e9 do f(i) end",
      "return ('%' .. ('('):rep(40)):find('(' .. ('('):rep(40))",
      "('x'):rep(1e6):gsub('.', function() while true do end end)",
  };
  for (const char* body : bodies) {
    PluginOptions wanted = options("function postprocess(text) " + std::string(body) + "\n end");
    wanted.timeout = milliseconds(1500);
    const auto set = open(wanted);
    const auto begin = steady_clock::now();
    const auto result = set->open({})->postprocess({.text_id = 1, .text = "x"});
    EXPECT_FALSE(result) << body;
    EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(20)) << body;
  }
}

TEST_F(LuaScripts, memory_has_a_limit) {
  auto sandbox = Sandbox::create({.memory_bytes = size_t{1} << 20, .instructions_max = 100'000'000});
  ASSERT_TRUE(sandbox);
  const auto code = (*sandbox)->compile("local t = {} for i = 1, 1e8 do t[i] = {} end", "hungry");
  const Status status = (*sandbox)->run(*code, "hungry");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "the script needs more memory than it may have");
  EXPECT_LE((*sandbox)->memory_used(), size_t{1} << 20);
  EXPECT_TRUE((*sandbox)->run(*(*sandbox)->compile("x = 1", "small"), "small")) << "the state still works";
  EXPECT_FALSE(Sandbox::create({.memory_bytes = 1000}));
}

// Results of Lua 5.4's own string library, on the cases of its manual and test suite.
TEST_F(LuaScripts, patterns_are_those_of_lua) {
  const auto set = open(R"lua(
    local function same(a, b) if a ~= b then error(tostring(a) .. " ~= " .. tostring(b), 2) end end
    local function pack(...) return table.concat({...}, "|") end
    function postprocess()
      same(pack(("hello world from Lua"):gsub("(%w+)", "%1 %1", 1)), "hello hello world from Lua|1")
      same(pack(("hello Lua"):gsub("(%w+)%s*(%w+)", "%2 %1")), "Lua hello|1")
      same(pack(("abc"):gsub("%w", "%%%0")), "%a%b%c|3")
      same(pack(("abc"):gsub("", "-")), "-a-b-c-|4")
      same(pack(("$name-$x"):gsub("%$(%w+)", {name = "lua"})), "lua-$x|2")
      same(pack(("4+5"):gsub("%d", function(d) return d + 1 end)), "5+6|2")
      same(pack(("THE (quick) fox"):find("%((%a+)%)")), "5|11|quick")
      same(pack(("THE (quick) fox"):match("()%a+()")), "1|4")
      same(pack(("key = value"):match("^(%w+)%s*=%s*(%w+)$")), "key|value")
      same(("f(a(b)c)d"):match("%b()"), "(a(b)c)")
      same(pack(("THE (quick) fox"):find("%f[%a]%a+%f[%A]", 5)), "6|10")
      same(pack(("aaab"):find("a-b")), "1|4")
      same(pack(("a.b"):find(".", 2, true)), "2|2")
      same(pack(("a.b"):find("%.")), "2|2")
      same(("  trim  "):match("^%s*(.-)%s*$"), "trim")
      same(("x=1, y=2"):gsub("(%w)=(%w)", "%2=%1"), "1=x, 2=y")
      same(("abab"):match("(ab)%1"), "ab")
      same(("[[x]]"):match("%[(=*)%[(.-)%]%1%]"), "")
      same(("0123-456"):match("[^%d]"), "-")
      same(("a]b"):match("[]]"), "]")
      same(("a-b"):match("[a%-]+"), "a-")
      same(("äö"):match("[\xC3][\x80-\xBF]"), "ä")
      same(("alo"):find("", 10), nil)
      same(pack(("alo"):find("", 4)), "4|3")
      same(("hello"):find("l", -2), 4)
      local words = {}
      for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do words[#words + 1] = k .. v end
      same(table.concat(words, ";"), "a1;b2")
      local n = 0
      for _ in ("abc"):gmatch("") do n = n + 1 end
      same(n, 4)
      same(("abc"):rep(2, "-"), "abc-abc")
      same(("x"):rep(0), "")
      for _, bad in ipairs({"[a", "%", "(", ")", "%b", "%f", "%1", "[%", "(()", "[]"}) do
        same(pcall(string.match, "aa(", bad), false)
      end
      same(pcall(string.gsub, "x", "x", "%2"), false)
      same(pcall(string.gsub, "x", "x", "%a"), false)
      same(pcall(string.rep), false)
      local moved = table.move({1, 2, 3}, 1, 3, 2)
      same(pack(table.unpack(moved)), "1|1|2|3")
      same(pack(table.unpack(table.move({1, 2, 3}, 2, 3, 1))), "2|3|3")
      return "ok"
    end)lua");
  const auto result = set->open({})->postprocess({.text_id = 1, .text = "x"});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->text, "ok");
}

TEST_F(LuaScripts, wrong_results_are_failures) {
  for (const char* source : {"function postprocess() return 5 end", "function postprocess() return {} end",
                             "function postprocess() error() end", "function postprocess() error({}) end"}) {
    EXPECT_FALSE(open(std::string(source))->open({})->postprocess({.text_id = 1, .text = "x"})) << source;
  }
  Input input;
  input.texts = {{"user", "x"}};
  for (const char* source :
       {"function preprocess(i) i.texts = nil end", "function preprocess(i) i.texts[1].text = {} end",
        "function preprocess(i) i.system = false end"}) {
    EXPECT_FALSE(open(std::string(source))->open({})->preprocess(input)) << source;
  }
}

}  // namespace
}  // namespace cove::plugins
