/* api_doc.h: src/api/openapi.json, and answers held against it. */
#ifndef PETREL_TESTS_API_DOC_H
#define PETREL_TESTS_API_DOC_H

#include "unit/api_client.h"

/* The document, loaded once per call; json_decref() it. */
json_t *api_doc_load(void);
/* The operation that serves the request, borrowed from doc; NULL when none does. */
json_t *api_doc_operation(const json_t *doc, const char *method, const char *path);
/* Fail the test unless the answer is one that the document foresees for the request: its status, and its body's members. */
void api_doc_check(const char *method, const char *path, const struct api_reply *reply);
/* The schema with $ref resolved, borrowed. */
json_t *api_doc_resolve(const json_t *doc, json_t *node);

#endif
