/* One easy handle per request. */
#include "http/ask.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define CONNECT_LIMIT_S 15L
#define STALL_LIMIT_S   60L
#define REDIRECT_LIMIT  5L
#define HEADER_LIMIT    100

struct conversation {
    const struct ask *ask;
    CURL *curl;
    struct ask_answer answer;
    struct error error; /* of taking the body */
    bool has_begun;
};

static long status_of(const struct conversation *conversation)
{
    long status = 0;

    curl_easy_getinfo(conversation->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static int begin_body(struct conversation *conversation)
{
    const struct ask *ask = conversation->ask;

    if (conversation->has_begun || !ask->begin || status_of(conversation) != 200)
        return 0;
    conversation->has_begun = true;
    return ask->begin(ask->data, &conversation->answer.headers, &conversation->error);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    struct conversation *conversation = data;
    struct ask_answer *answer = &conversation->answer;

    size *= count;
    if (begin_body(conversation) < 0)
        return 0;
    if (conversation->ask->take && status_of(conversation) == 200)
        return conversation->ask->take(conversation->ask->data, bytes, size, &conversation->error) <
                       0
                   ? 0
                   : size;
    if (answer->body.length + size > ASK_BODY_LIMIT) {
        error_set(&conversation->error, ERROR_UNAVAILABLE, "the answer is larger than %d bytes",
                  ASK_BODY_LIMIT);
        return 0;
    }
    str_add_bytes(&answer->body, bytes, size);
    return size;
}

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
    struct conversation *conversation = data;
    struct map *headers = &conversation->answer.headers;
    const char *colon = memchr(line, ':', size * count);

    size *= count;
    if (size > 5 && memcmp(line, "HTTP/", 5) == 0) { /* another answer: behind a redirect */
        map_done(headers);
        str_clear(&conversation->answer.body);
        return size;
    }
    if (!colon || headers->count >= HEADER_LIMIT)
        return size;
    CLEANUP(free) char *name = xstrndup(line, (size_t)(colon - line));
    const char *value = colon + 1, *end = line + size;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    CLEANUP(free) char *text = xstrndup(value, (size_t)(end - value));
    text_lower(name);
    map_set_text(headers, name, text);
    return size;
}

static void set_options(struct conversation *conversation, struct curl_slist *headers,
                        char *message)
{
    const struct ask *ask = conversation->ask;
    CURL *curl = conversation->curl;

    curl_easy_setopt(curl, CURLOPT_URL, ask->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, ask->follows ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECT_LIMIT);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_LIMIT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ask->timeout_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_LIMIT_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth/" BERTH_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, conversation);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, conversation);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    if (ask->user) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERPWD, ask->user);
    }
    if (ask->body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body_size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body);
    }
    if (strcmp(ask->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
}

static int judge(struct conversation *conversation, CURLcode code, const char *message,
                 struct error *err)
{
    const struct ask *ask = conversation->ask;

    if (conversation->error.kind) {
        error_set(err, conversation->error.kind, "%s %s: %s", ask->method, ask->url,
                  conversation->error.text);
        if (err)
            err->sys = conversation->error.sys;
        return -1;
    }
    if (code != CURLE_OK)
        return error_set(err, ERROR_UNAVAILABLE, "%s %s: %s", ask->method, ask->url,
                         *message ? message : curl_easy_strerror(code));
    conversation->answer.status = (int)status_of(conversation);
    return 0;
}

int ask(const struct ask *ask, struct ask_answer *out, struct error *err)
{
    struct conversation conversation = { .ask = ask };
    struct curl_slist *headers = NULL;
    char message[CURL_ERROR_SIZE] = "";

    conversation.curl = curl_easy_init();
    if (!conversation.curl)
        return error_set(err, ERROR_INTERNAL, "cannot set up a request");
    for (size_t i = 0; ask->headers && i < ask->headers->count; i++)
        headers = curl_slist_append(headers, ask->headers->items[i]);
    set_options(&conversation, headers, message);
    int result = judge(&conversation, curl_easy_perform(conversation.curl), message, err);
    curl_easy_cleanup(conversation.curl);
    curl_slist_free_all(headers);
    if (result < 0) {
        ask_answer_done(&conversation.answer);
        return -1;
    }
    *out = conversation.answer;
    return 0;
}

void ask_answer_done(struct ask_answer *answer)
{
    map_done(&answer->headers);
    str_done(&answer->body);
    *answer = (struct ask_answer){};
}
