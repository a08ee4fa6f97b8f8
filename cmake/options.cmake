# Flags that every target shares. Macros that change the layout of Boost's types are set here and nowhere
# else: one translation unit that disagrees would break the one-definition rule silently.
add_compile_options(-Wall -Wextra -Wno-unused-parameter -Wshadow -Werror=return-type -fno-omit-frame-pointer)
add_compile_definitions(
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE=64
  SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL)

if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all -O1 -g1)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
  add_compile_definitions(SLUICE_SANITIZED)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
  add_compile_options(-fstack-protector-strong -D_FORTIFY_SOURCE=2)
  add_link_options(-Wl,-z,relro,-z,now)
endif()

find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${SLUICE_CCACHE})
endif()
find_program(SLUICE_LLD ld.lld-19)
if(SLUICE_LLD)
  add_link_options(-fuse-ld=${SLUICE_LLD})
endif()

# Two compile jobs fit the smallest machine we support; a link of sanitized code takes 1 GB by itself.
set_property(GLOBAL PROPERTY JOB_POOLS compile=2 link=1)
set(CMAKE_JOB_POOL_COMPILE compile)
set(CMAKE_JOB_POOL_LINK link)
