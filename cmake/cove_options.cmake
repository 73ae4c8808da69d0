# Compiler and linker settings for every target of ours: link `cove_options`.
add_library(cove_options INTERFACE)
target_include_directories(cove_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(cove_options INTERFACE -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor)
# False alarm of g++ 12 at -O2 on "text" + std::string (gcc.gnu.org/PR105651).
target_compile_options(cove_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# clang 19 finds that libstdc++ 12's own std::stable_sort uses what C++20 deprecates.
target_compile_options(cove_options INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)
target_compile_definitions(cove_options INTERFACE COVE_VERSION="${PROJECT_VERSION}")

if(COVE_SANITIZE)
  target_compile_options(cove_options INTERFACE -fsanitize=${COVE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(cove_options INTERFACE -fsanitize=${COVE_SANITIZE})
endif()
if(COVE_FUZZ)
  target_compile_options(cove_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(COVE_CCACHE ccache)
if(COVE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${COVE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()
find_program(COVE_MOLD mold)
if(COVE_MOLD)
  target_link_options(cove_options INTERFACE -fuse-ld=mold)
endif()
