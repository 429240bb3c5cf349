#include "petrelctl/admin.h"

#include "base/bytes.h"
#include "base/object.h"
#include "petrelctl/human.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_DATA_DIR "/var/lib/petrel"
#define DEFAULT_TIMEOUT_MS 10000
#define HTTP_SCHEME "http://"
#define SOCKET_SCHEME "unix:"
#define SOCKET_URL "http://localhost"          /* what HTTP says to a socket */
#define SYSTEM_SOCKET "/run/petrel/admin.sock" /* the systemd unit's */
#define ANSWER_MAX (64U * 1024 * 1024)
#define PAGES_MAX 100000 /* a server whose list never ends */
#define TOKEN_MAX 512

struct admin {
    CURL *curl;
    const char *data_dir;
    bool named;          /* the URL was given, not found in the data directory */
    char *url;           /* "http://127.0.0.1:7481", no final slash */
    char *socket;        /* the Unix socket that is spoken to; NULL: the URL's host */
    char *place;         /* which of them, for messages: "unix:/run/petrel/admin.sock" */
    char *lookup;        /* where the same server answers lookups, "host:port"; NULL: not known */
    const char *ca_file; /* NULL: the system's */
    char *token_path;
    bool shows_token;
    struct curl_slist *headers; /* of every request */
    char *extra;                /* of the next one only */
    struct bytebuf answer;
    uint64_t timeout_ms;
    bool timeout_given;
};

const char *admin_data_dir(const struct invocation *call)
{
    const char *given = invocation_text(call, "data-dir");
    const char *environment = getenv("PETREL_DATA_DIR");
    return given != NULL ? given : environment != NULL && environment[0] != '\0' ? environment : DEFAULT_DATA_DIR;
}

static char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *format_text(const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    petrel_assert(len >= 0);
    return text;
}

static bool may_use_socket(const char *path)
{
    return path != NULL && access(path, R_OK | W_OK) == 0;
}

static void use_socket(struct admin *admin, const char *path)
{
    admin->socket = object_strdup(path);
    admin->url = object_strdup(SOCKET_URL);
}

/* The socket, where this user may open it: no token is needed there by who runs the server. Else the address. */
static enum command_exit take_addresses(struct admin *admin, const char *path, const json_t *addresses)
{
    const char *address = json_string_value(json_object_get(addresses, "admin"));
    const char *file = json_string_value(json_object_get(addresses, "admin_socket"));
    const char *api = json_string_value(json_object_get(addresses, "api"));
    if (address == NULL && file == NULL)
        return command_fail(COMMAND_FAILED, "%s names no admin address; is it petreld's?", path);
    if (address != NULL || api != NULL)
        admin->lookup = object_strdup(address != NULL ? address : api);
    if (may_use_socket(file))
        use_socket(admin, file);
    else if (address != NULL)
        admin->url = format_text("%s%s", HTTP_SCHEME, address);
    else
        return command_fail(COMMAND_FAILED,
                            "%s can't be used: %s; run as root or as the server's user, or be in admin.socket_group",
                            file, strerror(errno));
    return COMMAND_OK;
}

/* petreld.json: pid and addresses in use, there while the server is up. */
static enum command_exit read_addresses(struct admin *admin)
{
    char *path = format_text("%s/petreld.json", admin->data_dir);
    json_error_t error;
    enum command_exit code = COMMAND_OK;
    FILE *file = fopen(path, "re");
    const int errnum = errno;
    if (file != NULL) {
        json_t *addresses = json_loadf(file, 0, &error);
        fclose(file);
        code = take_addresses(admin, path, addresses);
        json_decref(addresses);
    } else if (errnum != ENOENT && strcmp(admin->data_dir, DEFAULT_DATA_DIR) == 0 && may_use_socket(SYSTEM_SOCKET)) {
        use_socket(admin,
                   SYSTEM_SOCKET); /* the data directory is the server's own, its socket may be for others, too */
    } else if (errnum == ENOENT) {
        code = command_fail(
            COMMAND_UNREACHABLE,
            "no petreld runs on %s (there is no petreld.json in it); start it with `petreld --data-dir %s`, or "
            "name its data directory with --data-dir, or its admin API with --admin",
            admin->data_dir, admin->data_dir);
    } else {
        code = command_fail(COMMAND_FAILED,
                            "%s can't be read: %s; run as the server's user, or name the admin API with --admin", path,
                            strerror(errnum));
    }
    free(path);
    return code;
}

/* One line of printable characters, which is what a header can carry. */
static enum command_exit read_token(struct admin *admin)
{
    char token[TOKEN_MAX + 2] = "";
    FILE *file = fopen(admin->token_path, "re");
    if (file == NULL)
        return command_fail(COMMAND_FAILED,
                            "the admin token can't be read from %s: %s; run as the server's user, or name another "
                            "file with --token-file",
                            admin->token_path, strerror(errno));
    size_t len = fread(token, 1, sizeof token - 1, file);
    fclose(file);
    token[len] = '\0';
    token[strcspn(token, "\r\n")] = '\0';
    len = strlen(token);
    bool valid = len > 0 && len <= TOKEN_MAX;
    for (size_t i = 0; i < len; i++)
        valid = valid && token[i] > ' ' && token[i] < 0x7f;
    if (!valid)
        return command_fail(COMMAND_FAILED, "%s holds no admin token", admin->token_path);
    char *header = format_text("Authorization: Bearer %s", token);
    admin->headers = curl_slist_append(admin->headers, header);
    admin->shows_token = true;
    explicit_bzero(token, sizeof token);
    explicit_bzero(header, strlen(header));
    free(header);
    petrel_assert(admin->headers != NULL);
    return COMMAND_OK;
}

static enum command_exit find_server(struct admin *admin, const struct invocation *call)
{
    const char *url = invocation_text(call, "admin");
    admin->ca_file = invocation_text(call, "admin-ca");
    if (url == NULL)
        url = getenv("PETREL_ADMIN");
    admin->named = url != NULL && url[0] != '\0';
    if (!admin->named)
        return read_addresses(admin);
    if (strncmp(url, SOCKET_SCHEME, strlen(SOCKET_SCHEME)) == 0) {
        const char *path = url + strlen(SOCKET_SCHEME);
        if (!may_use_socket(path))
            return command_fail(errno == ENOENT ? COMMAND_UNREACHABLE : COMMAND_FAILED, "%s can't be used: %s", path,
                                strerror(errno));
        use_socket(admin, path);
        return COMMAND_OK;
    }
    admin->url = strstr(url, "://") != NULL ? object_strdup(url) : format_text("%s%s", HTTP_SCHEME, url);
    size_t len = strlen(admin->url);
    while (len > 0 && admin->url[len - 1] == '/')
        admin->url[--len] = '\0';
    return COMMAND_OK;
}

enum command_exit admin_open(struct admin **out, const struct invocation *call)
{
    *out = NULL;
    struct admin *admin = object_zalloc(sizeof *admin);
    admin->data_dir = admin_data_dir(call);
    admin->timeout_ms = invocation_number(call, "timeout", DEFAULT_TIMEOUT_MS);
    admin->timeout_given = invocation_text(call, "timeout") != NULL;
    const char *token_file = invocation_text(call, "token-file");
    admin->token_path = token_file != NULL ? object_strdup(token_file) : format_text("%s/admin.token", admin->data_dir);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    admin->curl = curl_easy_init();
    petrel_assert(admin->curl != NULL);
    enum command_exit code = find_server(admin, call);
    /* Through the socket the kernel says who asks; a token is shown where one is named. */
    if (code == COMMAND_OK && (admin->socket == NULL || token_file != NULL))
        code = read_token(admin);
    if (code == COMMAND_OK)
        admin->place =
            admin->socket != NULL ? format_text("%s%s", SOCKET_SCHEME, admin->socket) : object_strdup(admin->url);
    if (code != COMMAND_OK) {
        admin_close(&admin);
        return code;
    }
    admin->headers = curl_slist_append(admin->headers, "Content-Type: application/json");
    petrel_assert(admin->headers != NULL);
    *out = admin;
    return COMMAND_OK;
}

void admin_close(struct admin **ref)
{
    struct admin *admin = *ref;
    *ref = NULL;
    if (admin == NULL)
        return;
    for (struct curl_slist *at = admin->headers; at != NULL; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(admin->headers);
    curl_easy_cleanup(admin->curl);
    bytes_reset(&admin->answer);
    free(admin->url);
    free(admin->socket);
    free(admin->place);
    free(admin->lookup);
    free(admin->token_path);
    free(admin->extra);
    free(admin);
}

const char *admin_lookup(const struct admin *admin)
{
    if (admin->lookup != NULL || admin->socket != NULL)
        return admin->lookup;
    const char *authority = admin->url + strlen(HTTP_SCHEME);
    bool plain = strncmp(admin->url, HTTP_SCHEME, strlen(HTTP_SCHEME)) == 0 && strpbrk(authority, "/?#@") == NULL;
    return plain ? authority : NULL;
}

void admin_patience(struct admin *admin, uint64_t ms)
{
    if (!admin->timeout_given)
        admin->timeout_ms = ms;
}

void admin_header(struct admin *admin, const char *name, const char *value)
{
    free(admin->extra);
    admin->extra = format_text("%s: %s", name, value);
}

/* The format's text with each %s as one percent-encoded segment. */
static void put_path(struct admin *admin, struct bytebuf *out, const char *format, va_list args)
{
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            bytes_append(out, format, 1);
            continue;
        }
        petrel_assert(format[1] == 's');
        format++;
        char *escaped = curl_easy_escape(admin->curl, va_arg(args, const char *), 0);
        petrel_assert(escaped != NULL);
        bytes_append_str(out, escaped);
        curl_free(escaped);
    }
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *ctx)
{
    struct admin *admin = ctx;
    size_t len = size * count;
    if (len > ANSWER_MAX - admin->answer.len)
        return 0;
    bytes_append(&admin->answer, bytes, len);
    return len;
}

static enum command_exit explain_failure(const struct admin *admin, CURLcode rc)
{
    const char *host = admin->socket != NULL ? admin->place : strstr(admin->url, "://") + 3;
    const char *data_dir = admin->data_dir;
    switch (rc) {
    case CURLE_COULDNT_CONNECT:
        if (admin->named)
            return command_fail(COMMAND_UNREACHABLE,
                                "no petreld answers at %s; is it running, and is this its admin API (admin.port)?",
                                host);
        return command_fail(
            COMMAND_UNREACHABLE,
            "no petreld answers at %s, which %s/petreld.json names; is it running? start it with `petreld "
            "--data-dir %s`, or name its data directory with --data-dir",
            host, data_dir, data_dir);
    case CURLE_OPERATION_TIMEDOUT:
        return command_fail(COMMAND_TIMEOUT, "no answer from %s within %llu ms; try a longer --timeout", host,
                            (unsigned long long)admin->timeout_ms);
    case CURLE_WRITE_ERROR:
        return command_fail(COMMAND_FAILED, "the answer of %s is larger than %u MiB", host, ANSWER_MAX >> 20);
    default:
        return command_fail(COMMAND_UNREACHABLE, "%s: %s; is that the URL of an admin API?", admin->place,
                            curl_easy_strerror(rc));
    }
}

static enum command_exit explain_refusal(const struct admin *admin, long http, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *status = json_string_value(json_object_get(error, "status"));
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *field = json_string_value(json_object_get(error, "field"));
    if (status == NULL || message == NULL)
        return command_fail(COMMAND_FAILED, "%s answered %ld and no error of petreld's; is that an admin API?",
                            admin->place, http);
    if (http == 401 && !admin->shows_token)
        return command_fail(
            COMMAND_FAILED,
            "%s does not know this user as an operator (%s: %s); run as root or as the server's user, be in "
            "admin.socket_group, or name the file of the admin token with --token-file",
            admin->place, status, message);
    if (http == 401)
        return command_fail(COMMAND_FAILED,
                            "%s does not take the admin token of %s (%s: %s); name the file of this server's with "
                            "--token-file",
                            admin->place, admin->token_path, status, message);
    return command_fail(http == 404 ? COMMAND_NOT_FOUND : COMMAND_FAILED, "%s: %s%s%s%s", status, message,
                        field != NULL ? " (" : "", field != NULL ? field : "", field != NULL ? ")" : "");
}

static enum command_exit judge(const struct admin *admin, long http, json_t **answer)
{
    json_error_t error;
    json_t *parsed = admin->answer.len > 0 ? json_loadb((const char *)admin->answer.ptr, admin->answer.len,
                                                        JSON_REJECT_DUPLICATES, &error)
                                           : NULL;
    enum command_exit code = COMMAND_OK;
    if (http < 200 || http > 299)
        code = explain_refusal(admin, http, parsed);
    else if (answer != NULL && parsed == NULL)
        code = command_fail(COMMAND_FAILED, "%s answered no JSON; is that an admin API?", admin->place);
    if (code == COMMAND_OK && answer != NULL)
        *answer = parsed;
    else
        json_decref(parsed);
    return code;
}

static enum command_exit perform(struct admin *admin, const char *method, const char *url, const char *body)
{
    CURL *curl = admin->curl;
    struct curl_slist *headers = NULL;
    for (struct curl_slist *at = admin->headers; at != NULL; at = at->next)
        headers = curl_slist_append(headers, at->data);
    if (admin->extra != NULL)
        headers = curl_slist_append(headers, admin->extra);
    petrel_assert(headers != NULL);
    curl_easy_reset(curl); /* keeps the connection */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (admin->socket != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, admin->socket);
    if (admin->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, admin->ca_file);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "petrelctl");
    /* The token must not travel through a proxy that happens to be in the environment. */
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)admin->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, admin);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    }
    admin->answer.len = 0;
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    for (struct curl_slist *at = headers; at != NULL; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(headers);
    free(admin->extra);
    admin->extra = NULL;
    return rc == CURLE_OK ? COMMAND_OK : explain_failure(admin, rc);
}

static enum command_exit request(struct admin *admin, const char *method, json_t *body, json_t **answer,
                                 const char *path)
{
    struct bytebuf url = {0};
    bytes_append_str(&url, admin->url);
    bytes_append_str(&url, path);
    bytes_append(&url, "", 1);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    petrel_assert(body == NULL || text != NULL);
    json_decref(body);
    long http = 0;
    enum command_exit code = perform(admin, method, (const char *)url.ptr, text);
    if (code == COMMAND_OK) {
        curl_easy_getinfo(admin->curl, CURLINFO_RESPONSE_CODE, &http);
        code = judge(admin, http, answer);
    }
    bytes_reset(&url);
    free(text);
    return code;
}

enum command_exit admin_request(struct admin *admin, const char *method, json_t *body, json_t **answer,
                                const char *path, ...)
{
    if (answer != NULL)
        *answer = NULL;
    struct bytebuf whole = {0};
    va_list args;
    va_start(args, path);
    put_path(admin, &whole, path, args);
    va_end(args);
    bytes_append(&whole, "", 1);
    enum command_exit code = request(admin, method, body, answer, (const char *)whole.ptr);
    bytes_reset(&whole);
    return code;
}

/* Nodes that did not answer, of a list that is put together from several. */
static void tell_unreachable(const char *key, const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)names, i, name)
    {
        char *safe = human_safe(bytes_of(json_string_value(name), json_string_length(name)));
        (void)command_fail(COMMAND_OK, "the node %s did not answer: the list lacks its %s", safe, key);
        free(safe);
    }
}

/* One page after the first `len` bytes of path; *more: another is to be asked for, its cursor is in path by now. */
static enum command_exit take_page(struct admin *admin, const char *key, json_t *rows, struct bytebuf *path, size_t len,
                                   bool *more)
{
    json_t *page = NULL;
    *more = false;
    enum command_exit code = request(admin, "GET", NULL, &page, (const char *)path->ptr);
    if (code != COMMAND_OK)
        return code;
    json_t *part = json_object_get(page, key);
    const char *cursor = json_string_value(json_object_get(page, "cursor"));
    if (!json_is_array(part))
        code = command_fail(COMMAND_FAILED, "%s answered no list of %s", admin->place, key);
    else
        json_array_extend(rows, part);
    if (code == COMMAND_OK)
        tell_unreachable(key, json_object_get(page, "unreachable"));
    if (code == COMMAND_OK && cursor != NULL && cursor[0] != '\0') {
        char *escaped = curl_easy_escape(admin->curl, cursor, 0);
        petrel_assert(escaped != NULL);
        path->len = len;
        bytes_printf(path, "%ccursor=%s", memchr(path->ptr, '?', len) != NULL ? '&' : '?', escaped);
        bytes_append(path, "", 1);
        curl_free(escaped);
        *more = true;
    }
    json_decref(page);
    return code;
}

enum command_exit admin_list(struct admin *admin, const char *key, uint64_t limit, json_t **rows, const char *path, ...)
{
    struct bytebuf whole = {0};
    va_list args;
    va_start(args, path);
    put_path(admin, &whole, path, args);
    va_end(args);
    size_t len = whole.len;
    bytes_append(&whole, "", 1);
    *rows = json_array();
    enum command_exit code = COMMAND_OK;
    bool more = true;
    for (int pages = 0; code == COMMAND_OK && more; pages++) {
        if (pages == PAGES_MAX)
            code = command_fail(COMMAND_FAILED, "%s gives a list of %s without an end", admin->place, key);
        else
            code = take_page(admin, key, *rows, &whole, len, &more);
        more = more && (limit == 0 || json_array_size(*rows) < limit);
    }
    while (limit > 0 && json_array_size(*rows) > limit)
        json_array_remove(*rows, json_array_size(*rows) - 1);
    if (code != COMMAND_OK) {
        json_decref(*rows);
        *rows = NULL;
    }
    bytes_reset(&whole);
    return code;
}
