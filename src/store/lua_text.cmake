# Writes OUT, a C file with each of the FILES (a list) as an array of bytes: store_redis_lua_<name>.
set(code "/* Generated from lua/: do not edit. */\n#include \"store/store_redis_lua.h\"\n")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND code "\nstatic const uint8_t text_${name}[] = {${bytes}};\n"
                     "const struct bytes store_redis_lua_${name} = {text_${name}, sizeof text_${name}};\n")
endforeach()
file(WRITE ${OUT} "${code}")
