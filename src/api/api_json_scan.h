/* api_json_scan.h: objects as programs write them, read in one pass over their text, without a tree. Private to this room.
 *
 * plain   valid JSON whose names and texts hold no \u, whose names no escape at all, with numbers that any reader takes, and not more
 *         nested or more names at a level than messages have
 *
 * What is plain is read as api_json_parse() and api_json_read() would; what is not, or is wrong, is theirs to read, or to refuse with the
 * reason. So this is a short cut and never decides anything: taking it out changes no answer. */
#ifndef PETREL_API_API_JSON_SCAN_H
#define PETREL_API_API_JSON_SCAN_H

#include "api/api_json.h"

#define API_JSON_SCAN_FIELDS 32 /* of a table */

/* Read the object's fields into the struct at out, which is zeroed or holds defaults. false: it is not plain, or not what the fields ask
 * for; what out then holds means nothing. */
bool api_json_scan(struct bytes text, const struct api_json_field *fields, size_t count, void *out);

#endif
