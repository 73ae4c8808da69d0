# cmake -DOUT=embedded.cc -DFILES=a;b -P embed.cmake: writes C++ that holds the files' bytes, for pages/embedded.h.
set(arrays "")
set(rows "")
set(index 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "constexpr unsigned char kFile${index}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${name}\", {reinterpret_cast<const char*>(kFile${index}), sizeof(kFile${index}) - 1}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE ${OUT} "// Written by src/server/pages/embed.cmake.
#include \"server/pages/embedded.h\"

#include <utility>

namespace cove::server {
namespace {
${arrays}}  // namespace

std::optional<std::string_view> embedded_file(std::string_view name) {
  static const std::pair<std::string_view, std::string_view> kFiles[] = {
${rows}  };
  for (const auto& [known, content] : kFiles) {
    if (known == name) return content;
  }
  return std::nullopt;
}

}  // namespace cove::server
")
