/* libcurl, one transfer at a time. */
#include "http/fetch.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"

#include "base/banned.h"

#define CONNECT_LIMIT_S  30L
#define STALL_LIMIT_S    60L
#define HEADER_LIMIT     1024
#define ERROR_BODY_LIMIT 300 /* from this status on the body is not the file */

struct transfer {
    const struct fetch *fetch;
    CURL *curl;
    struct fetch_answer answer;
    int64_t size;
    struct error error; /* of writing */
};

static int64_t size_limit(const struct fetch *fetch)
{
    return fetch->size_limit ? fetch->size_limit : FETCH_SIZE_LIMIT;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;
    long status = 0;

    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= ERROR_BODY_LIMIT)
        return size * count;
    transfer->size += (int64_t)(size * count);
    if (transfer->size > size_limit(transfer->fetch)) {
        error_set(&transfer->error, ERROR_INVALID, "the file is larger than %lld bytes",
                  (long long)size_limit(transfer->fetch));
        return 0;
    }
    if (fd_write_all(transfer->fetch->target_fd, bytes, size * count, &transfer->error) < 0)
        return 0;
    return size * count;
}

static void take_value(const char *line, size_t size, const char *name, char **out)
{
    size_t length = strlen(name);

    if (size <= length || size > HEADER_LIMIT || strncasecmp(line, name, length) != 0)
        return;
    line += length;
    size -= length;
    while (size > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        size--;
    }
    while (size > 0 && strchr("\r\n ", line[size - 1]))
        size--;
    free(*out);
    *out = xstrndup(line, size);
}

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
    struct transfer *transfer = data;

    if (size * count > 5 && strncasecmp(line, "HTTP/", 5) == 0) /* another answer: a redirect's */
        fetch_answer_done(&transfer->answer);
    take_value(line, size * count, "etag:", &transfer->answer.etag);
    take_value(line, size * count, "last-modified:", &transfer->answer.last_modified);
    return size * count;
}

static int watch(void *data, curl_off_t total UNUSED, curl_off_t now UNUSED,
                 curl_off_t upload_total UNUSED, curl_off_t upload_now UNUSED)
{
    const struct transfer *transfer = data;

    return fd_is_readable(transfer->fetch->cancel_fd);
}

static void set_options(struct transfer *transfer, struct curl_slist *headers, char *message)
{
    CURL *curl = transfer->curl;

    curl_easy_setopt(curl, CURLOPT_URL, transfer->fetch->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)FETCH_REDIRECT_LIMIT);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_LIMIT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_LIMIT_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_FILETIME, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
}

static struct curl_slist *add_condition(struct curl_slist *list, const char *name,
                                        const char *value)
{
    CLEANUP(free) char *line = NULL;

    if (!value)
        return list;
    line = xasprintf("%s: %s", name, value);
    return curl_slist_append(list, line);
}

static int judge(struct transfer *transfer, CURLcode code, const char *message, struct error *err)
{
    const char *url = transfer->fetch->url;
    long status = 0;
    curl_off_t modified = -1;

    if (transfer->error.kind)
        return error_set(err, transfer->error.kind, "failed to GET %s: %s", url,
                         transfer->error.text);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return error_set(err, ERROR_CANCELLED, "Build cancelled");
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT)
        return error_set(err, ERROR_INVALID, "failed to GET %s: %s", url,
                         *message ? message : curl_easy_strerror(code));
    if (code != CURLE_OK)
        return error_set(err, ERROR_UNAVAILABLE, "failed to GET %s: %s", url,
                         *message ? message : curl_easy_strerror(code));
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->curl, CURLINFO_FILETIME_T, &modified);
    transfer->answer.modified_s = modified;
    transfer->answer.is_unchanged = status == 304;
    if (status == 304 || (status >= 200 && status < 300))
        return 0;
    return error_set(err, status == 404 ? ERROR_NOT_FOUND : ERROR_UNAVAILABLE,
                     "failed to GET %s: invalid response status %ld", url, status);
}

int fetch_url(const struct fetch *fetch, struct fetch_answer *out, struct error *err)
{
    struct transfer transfer = { .fetch = fetch };
    struct curl_slist *headers = NULL;
    char message[CURL_ERROR_SIZE] = "";
    int result;

    transfer.curl = curl_easy_init();
    if (!transfer.curl)
        return error_set(err, ERROR_INTERNAL, "cannot set up a download");
    headers = add_condition(headers, "If-None-Match", fetch->etag);
    if (!fetch->etag)
        headers = add_condition(headers, "If-Modified-Since", fetch->last_modified);
    set_options(&transfer, headers, message);
    result = judge(&transfer, curl_easy_perform(transfer.curl), message, err);
    curl_easy_cleanup(transfer.curl);
    curl_slist_free_all(headers);
    if (result < 0) {
        fetch_answer_done(&transfer.answer);
        return -1;
    }
    *out = transfer.answer;
    return 0;
}

void fetch_answer_done(struct fetch_answer *answer)
{
    free(answer->etag);
    free(answer->last_modified);
    *answer = (struct fetch_answer){ .modified_s = -1 };
}
