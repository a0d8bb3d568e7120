/* hosts, hostname and resolv.conf, letter by letter as the Docker engine writes them: programs and
 * tests compare them, and people grep the comments at the end of resolv.conf. */
#include "network/files.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#include "base/banned.h"

#define FILE_LIMIT      ((size_t)1 << 20)
#define RESOLV_PATH     "/etc/resolv.conf"
#define RESOLVED_PATH   "/run/systemd/resolve/resolv.conf"
#define RESOLVED_STUB   "127.0.0.53"
#define EMBEDDED_SERVER "127.0.0.11"

static bool has_any(const struct strv *list)
{
    return list && list->count > 0;
}

/* ---- hosts and hostname ---- */

void network_hosts_extra_line(const struct network_files_options *options, const char *entry,
                              struct str *out)
{
    size_t length = strcspn(entry, ":=");
    const char *address = entry[length] ? entry + length + 1 : "";

    if (strcmp(address, "host-gateway") == 0)
        address = options->gateway ? options->gateway : "";
    if (length > 0 && address[0])
        str_add_format(out, "%s\t%.*s\n", address, (int)length, entry);
}

static void add_extra_hosts(const struct network_files_options *options, struct str *out)
{
    for (size_t i = 0; options->extra_hosts && i < options->extra_hosts->count; i++)
        network_hosts_extra_line(options, options->extra_hosts->items[i], out);
}

/* "a.b.c a" for a qualified name, the name alone otherwise. */
static void add_own_names(const struct network_files_options *options, struct str *out)
{
    CLEANUP(str_done) struct str name = {};
    size_t length;

    str_add(&name, options->hostname ? options->hostname : "");
    if (!text_is_empty(options->domainname))
        str_add_format(&name, ".%s", options->domainname);
    length = strcspn(str_text(&name), ".");
    str_add(out, str_text(&name));
    if (length < name.length)
        str_add_format(out, " %.*s", (int)length, str_text(&name));
}

void network_hosts_text(const struct network_files_options *options, struct str *out)
{
    if (options->is_host_network && !has_any(options->extra_hosts) &&
        file_read("/etc/hosts", FILE_LIMIT, out, NULL) == 0)
        return;
    str_add(out, "127.0.0.1\tlocalhost\n");
    if (options->ipv6)
        str_add(out, "::1\tlocalhost ip6-localhost ip6-loopback\n"
                     "fe00::\tip6-localnet\n"
                     "ff00::\tip6-mcastprefix\n"
                     "ff02::1\tip6-allnodes\n"
                     "ff02::2\tip6-allrouters\n");
    add_extra_hosts(options, out);
    if (options->is_host_network)
        return;
    for (size_t i = 0; options->links && i < options->links->count; i++)
        str_add_format(out, "%s\n", options->links->items[i]);
    for (size_t i = 0; options->addresses && i < options->addresses->count; i++)
        network_hosts_own_line(options, options->addresses->items[i], out);
}

void network_hosts_own_line(const struct network_files_options *options, const char *address,
                            struct str *out)
{
    str_add_format(out, "%s\t", address);
    add_own_names(options, out);
    str_add_char(out, '\n');
}

void network_hosts_remove(const char *text, const char *address, struct str *out)
{
    size_t length = strlen(address);

    while (*text) {
        size_t line = strcspn(text, "\n");

        line += text[line] == '\n';
        if (strncmp(text, address, length) != 0 || (text[length] != '\t' && text[length] != ' '))
            str_add_bytes(out, text, line);
        text += line;
    }
}

void network_hosts_remove_line(const char *text, const char *line, struct str *out)
{
    size_t length = strlen(line);
    bool is_gone = false;

    while (*text) {
        size_t size = strcspn(text, "\n");

        size += text[size] == '\n';
        if (is_gone || size != length || memcmp(text, line, length) != 0)
            str_add_bytes(out, text, size);
        else
            is_gone = true;
        text += size;
    }
}

void network_hostname_text(const struct network_files_options *options, struct str *out)
{
    str_add_format(out, "%s\n", options->hostname ? options->hostname : "");
}

/* ---- resolv.conf ---- */

struct resolv {
    struct strv servers, search, options, other, invalid;
    const char *ndots_from;
    bool used_defaults;
};

static void resolv_done(struct resolv *resolv)
{
    strv_done(&resolv->servers);
    strv_done(&resolv->search);
    strv_done(&resolv->options);
    strv_done(&resolv->other);
    strv_done(&resolv->invalid);
}
CLEANUP_VALUE(resolv_done, struct resolv)

static bool is_ipv4(const char *text)
{
    struct in_addr address;

    return inet_pton(AF_INET, text, &address) == 1;
}

static bool is_ipv6(const char *text)
{
    char address_text[INET6_ADDRSTRLEN + 1] = "";
    size_t length = strcspn(text, "%"); /* fe80::1%eth0 */
    struct in6_addr address;

    if (length >= sizeof(address_text))
        return false;
    memcpy(address_text, text, length);
    return inet_pton(AF_INET6, address_text, &address) == 1;
}

static bool is_loopback(const char *text)
{
    return text_starts(text, "127.") || strcmp(text, "::1") == 0;
}

/* The words of a line, at blanks. */
static void split_words(struct strv *out, const char *line)
{
    for (;;) {
        size_t length;

        line += strspn(line, " \t\r\v\f");
        length = strcspn(line, " \t\r\v\f");
        if (length == 0)
            return;
        strv_add_format(out, "%.*s", (int)length, line);
        line += length;
    }
}

static void read_line(struct resolv *resolv, const char *line)
{
    CLEANUP(strv_done) struct strv words = {};
    const char *word;

    split_words(&words, line);
    if (words.count == 0 || words.items[0][0] == '#' || words.items[0][0] == ';')
        return;
    word = words.items[0];
    if (strcmp(word, "nameserver") == 0) {
        if (words.count > 1)
            strv_add(is_ipv4(words.items[1]) || is_ipv6(words.items[1]) ? &resolv->servers
                                                                        : &resolv->invalid,
                     words.items[1]);
    } else if (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0) {
        if (words.count > 1) {
            strv_done(&resolv->search); /* Only the last one counts. */
            for (size_t i = 1; i < words.count; i++)
                strv_add(&resolv->search, words.items[i]);
        }
    } else if (strcmp(word, "options") == 0) {
        for (size_t i = 1; i < words.count; i++)
            strv_add(&resolv->options, words.items[i]);
    } else {
        strv_add(&resolv->other, line);
    }
}

static bool has_ndots(const struct strv *options)
{
    for (size_t i = 0; i < options->count; i++)
        if (text_starts(options->items[i], "ndots:") || strcmp(options->items[i], "ndots") == 0)
            return true;
    return false;
}

static void resolv_read(struct resolv *resolv, const char *text)
{
    CLEANUP(strv_done) struct strv lines = {};

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++)
        read_line(resolv, lines.items[i]);
    if (has_ndots(&resolv->options))
        resolv->ndots_from = "host";
}

static void override(struct strv *list, const struct strv *wish)
{
    strv_done(list);
    for (size_t i = 0; i < wish->count; i++)
        strv_add(list, wish->items[i]);
}

static void apply_overrides(struct resolv *resolv, const struct network_files_options *options)
{
    if (has_any(options->dns))
        override(&resolv->servers, options->dns);
    if (has_any(options->dns_search)) {
        override(&resolv->search, options->dns_search);
        for (size_t i = resolv->search.count; i-- > 0;)
            if (strcmp(resolv->search.items[i], ".") == 0) /* "." asks for no search list. */
                strv_remove(&resolv->search, i);
    }
    if (has_any(options->dns_options)) {
        override(&resolv->options, options->dns_options);
        resolv->ndots_from = has_ndots(&resolv->options) ? "override" : NULL;
    }
}

/* The host's loopback servers and, without IPv6, its IPv6 ones cannot be reached from inside. */
static void keep_reachable_servers(struct resolv *resolv,
                                   const struct network_files_options *options)
{
    if (has_any(options->dns))
        return;
    for (size_t i = resolv->servers.count; i-- > 0;) {
        const char *server = resolv->servers.items[i];

        if (is_loopback(server) || (!options->ipv6 && is_ipv6(server)))
            strv_remove(&resolv->servers, i);
    }
    if (resolv->servers.count > 0)
        return;
    strv_add(&resolv->servers, "8.8.8.8");
    strv_add(&resolv->servers, "8.8.4.4");
    if (options->ipv6) {
        strv_add(&resolv->servers, "2001:4860:4860::8888");
        strv_add(&resolv->servers, "2001:4860:4860::8844");
    }
    resolv->used_defaults = true;
}

/* Puts berth's own server in place of all others, which 'external' then names. */
static void use_embedded_server(struct resolv *resolv, const struct network_files_options *options,
                                struct strv *external)
{
    bool is_given = has_any(options->dns);

    for (size_t i = 0; i < resolv->servers.count; i++)
        strv_add_format(external, is_given ? "%s" : "host(%s)", resolv->servers.items[i]);
    strv_done(&resolv->servers);
    strv_add(&resolv->servers, EMBEDDED_SERVER);
    if (!has_ndots(&resolv->options)) {
        strv_add(&resolv->options, "ndots:0");
        resolv->ndots_from = "internal";
    }
}

static void add_joined(struct str *out, const char *before, const struct strv *list,
                       const char *after)
{
    CLEANUP(free) char *joined = strv_join(list, " ");

    str_add_format(out, "%s%s%s", before, joined, after);
}

static void add_comments(const struct resolv *resolv, const struct network_files_options *options,
                         const struct strv *external, struct str *out)
{
    CLEANUP(strv_done) struct strv overrides = {};
    const char *transform = options->is_user_network   ? " (internal resolver)"
                            : options->is_host_network ? ""
                                                       : " (legacy)";

    if (has_any(options->dns))
        strv_add(&overrides, "nameservers");
    if (has_any(options->dns_search))
        strv_add(&overrides, "search");
    if (has_any(options->dns_options))
        strv_add(&overrides, "options");
    str_add_format(out, "\n# Based on host file: '%s'%s\n", RESOLV_PATH, transform);
    if (resolv->used_defaults)
        str_add(out, "# Used default nameservers.\n");
    if (external->count > 0)
        add_joined(out, "# ExtServers: [", external, "]\n");
    if (resolv->invalid.count > 0)
        add_joined(out, "# Invalid nameservers: [", &resolv->invalid, "]\n");
    add_joined(out, "# Overrides: [", &overrides, "]\n");
    if (resolv->ndots_from)
        str_add_format(out, "# Option ndots from: %s\n", resolv->ndots_from);
}

void network_resolv_text(const struct network_files_options *options, const char *host_text,
                         struct str *out)
{
    CLEANUP(resolv_done) struct resolv resolv = {};
    CLEANUP(strv_done) struct strv external = {};

    resolv_read(&resolv, host_text);
    apply_overrides(&resolv, options);
    if (options->is_user_network)
        use_embedded_server(&resolv, options, &external);
    else if (!options->is_host_network)
        keep_reachable_servers(&resolv, options);

    str_add(out, "# Generated by Docker Engine.\n"
                 "# This file can be edited; Docker Engine will not make further changes once it\n"
                 "# has been modified.\n\n");
    for (size_t i = 0; i < resolv.servers.count; i++)
        str_add_format(out, "nameserver %s\n", resolv.servers.items[i]);
    if (resolv.search.count > 0)
        add_joined(out, "search ", &resolv.search, "\n");
    if (resolv.options.count > 0)
        add_joined(out, "options ", &resolv.options, "\n");
    for (size_t i = 0; i < resolv.other.count; i++)
        str_add_format(out, "%s\n", resolv.other.items[i]);
    add_comments(&resolv, options, &external, out);
}

bool network_resolv_keeps_single_labels(const struct network_files_options *options,
                                        const char *host_text)
{
    CLEANUP(resolv_done) struct resolv resolv = {};

    resolv_read(&resolv, host_text);
    apply_overrides(&resolv, options);
    for (size_t i = 0; i < resolv.options.count; i++)
        if (text_starts(resolv.options.items[i], "ndots:") &&
            strcmp(resolv.options.items[i], "ndots:0") != 0)
            return true;
    return false;
}

/* systemd-resolved's stub listens on the host's loopback: its own list names the real servers. */
static bool names_only_the_stub(const char *text)
{
    CLEANUP(resolv_done) struct resolv resolv = {};

    resolv_read(&resolv, text);
    return resolv.servers.count == 1 && strcmp(resolv.servers.items[0], RESOLVED_STUB) == 0;
}

void network_host_resolv(struct str *out)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read(RESOLV_PATH, FILE_LIMIT, &text, NULL) < 0)
        return;
    if (names_only_the_stub(str_text(&text))) {
        CLEANUP(str_done) struct str better = {};

        if (file_read(RESOLVED_PATH, FILE_LIMIT, &better, NULL) == 0) {
            str_add(out, str_text(&better));
            return;
        }
    }
    str_add(out, str_text(&text));
}
