/* Tables are searched from top to bottom: a thousand lines take some tens of microseconds, and
 * nothing needs to be kept in any supervisor's memory. */
#include "spec/names.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define NO_ADDRESS "-"

/* clang-format off */
static const struct json_field network_fields[] = {
    JSON_STRING(struct resolver_network, name,  "Name"),
    JSON_STRING(struct resolver_network, path,  "Path"),
    JSON_TEXTS (struct resolver_network, links, "Links", .omit_empty = true),
    JSON_END,
};

const struct json_field resolver_settings_fields[] = {
    JSON_OBJECTS(struct resolver_settings, networks,            "Networks", struct resolver_network, network_fields),
    JSON_STRV   (struct resolver_settings, servers,             "Servers",           .omit_empty = true),
    JSON_BOOL   (struct resolver_settings, is_closed,           "Closed",            .omit_empty = true),
    JSON_BOOL   (struct resolver_settings, keeps_single_labels, "KeepsSingleLabels", .omit_empty = true),
    JSON_END,
};
/* clang-format on */

void resolver_settings_done(struct resolver_settings *settings)
{
    json_fields_done(resolver_settings_fields, settings);
}

/* ---- tables ---- */

void name_table_add(struct str *table, const char *address, const char *address6, const char *names)
{
    str_add_format(table, "%s %s %s\n", text_is_empty(address) ? NO_ADDRESS : address,
                   text_is_empty(address6) ? NO_ADDRESS : address6, names);
}

struct word {
    const char *text;
    size_t length;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line that ends at 'end'; empty at its end. */
static struct word next_word(const char **at, const char *end)
{
    struct word word;

    while (*at < end && is_blank(**at))
        ++*at;
    word.text = *at;
    while (*at < end && !is_blank(**at))
        ++*at;
    word.length = (size_t)(*at - word.text);
    return word;
}

static const char *line_end(const char *line, const char *end)
{
    const char *found = memchr(line, '\n', (size_t)(end - line));

    return found ? found : end;
}

static bool read_address(struct word word, int family, void *out)
{
    char text[INET6_ADDRSTRLEN];

    if (word.length >= sizeof(text))
        return false;
    memcpy(text, word.text, word.length);
    text[word.length] = '\0';
    return inet_pton(family, text, out) == 1;
}

static bool is_called(const char *at, const char *end, const char *name)
{
    size_t length = strlen(name);

    for (struct word word = next_word(&at, end); word.length; word = next_word(&at, end))
        if (word.length == length && strncasecmp(word.text, name, length) == 0)
            return true;
    return false;
}

size_t name_table_find(const char *table, size_t size, const char *name, int family,
                       struct name_address *out, size_t limit, bool *out_is_known)
{
    const char *end = table + size;
    size_t count = 0;

    for (const char *at = table, *last; at < end && count < limit; at = last + 1) {
        last = line_end(at, end);
        struct word ipv4 = next_word(&at, last), ipv6 = next_word(&at, last);
        if (!is_called(at, last, name))
            continue;
        *out_is_known = true;
        if (read_address(family == AF_INET ? ipv4 : ipv6, family, out[count].bytes))
            count++;
    }
    return count;
}

size_t name_table_owner(const char *table, size_t size, int family, const void *address,
                        const char **out_name)
{
    const char *end = table + size;

    for (const char *at = table, *last; at < end; at = last + 1) {
        uint8_t bytes[16];

        last = line_end(at, end);
        struct word ipv4 = next_word(&at, last), ipv6 = next_word(&at, last);
        struct word owner = next_word(&at, last);
        if (read_address(family == AF_INET ? ipv4 : ipv6, family, bytes) &&
            memcmp(bytes, address, family == AF_INET ? 4 : 16) == 0) {
            *out_name = owner.text;
            return owner.length;
        }
    }
    return 0;
}

/* ---- resolv.conf ---- */

void resolv_servers(const char *text, struct strv *out)
{
    static const char keyword[] = "nameserver";
    const char *end = text + strlen(text);

    for (const char *at = text, *last; at < end; at = last + 1) {
        last = line_end(at, end);
        struct word word = next_word(&at, last);
        uint8_t ignored[16];

        if (word.length != sizeof(keyword) - 1 || memcmp(word.text, keyword, word.length) != 0)
            continue;
        word = next_word(&at, last);
        if (read_address(word, AF_INET, ignored) || read_address(word, AF_INET6, ignored))
            strv_add_format(out, "%.*s", (int)word.length, word.text);
    }
}
