# Copies IN to OUT with every `string` field declared `bytes`, which is the same on the wire.
#
# protobuf-c gives `string` as char *, which loses the length: a text with a NUL inside would come out cut short and pass
# its checks. As `bytes` the codec sees what was sent, and can pack borrowed text that has no NUL behind it. The published
# .proto keeps `string`, which is what other languages want.
file(READ ${IN} text)
string(REGEX REPLACE "(\n[ ]+(repeated )?)string " "\\1bytes " text "${text}")
if(text MATCHES "\n[^/\n]*string ")
  message(FATAL_ERROR "${IN}: a string field was not understood: ${CMAKE_MATCH_0}")
endif()
file(WRITE ${OUT} "${text}")
