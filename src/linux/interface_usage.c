/* Two lines of headings, then "name: eight numbers received, eight sent". */
#include "linux/interface_usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

enum { TEXT_LIMIT = 1 << 20, INTERFACE_LIMIT = 1024 };

static int is_everywhere(const char *name)
{
    static const char *const names[] = { "lo",      "tunl0",    "gre0", "gretap0", "erspan0",
                                         "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct interface_usage *)a)->name,
                  ((const struct interface_usage *)b)->name);
}

size_t interface_usage_parse(const char *text, struct interface_usage **out)
{
    size_t count = 0;

    *out = NULL;
    for (const char *line = text; line && count < INTERFACE_LIMIT;
         line = strchr(line, '\n'), line += line != NULL) {
        struct interface_usage one = {};

        if (sscanf(line,
                   " %15[^: \n]: %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                   one.name, &one.received_bytes, &one.received_packets, &one.received_errors,
                   &one.received_dropped, &one.sent_bytes, &one.sent_packets, &one.sent_errors,
                   &one.sent_dropped) != 9 ||
            is_everywhere(one.name))
            continue;
        *out = xrealloc(*out, count + 1, sizeof(**out));
        (*out)[count++] = one;
    }
    if (count)
        qsort(*out, count, sizeof(**out), by_name);
    return count;
}

size_t interface_usage_read(pid_t pid, struct interface_usage **out)
{
    CLEANUP(str_done) struct str text = {};
    char path[48];

    *out = NULL;
    snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
    if (file_read(path, TEXT_LIMIT, &text, NULL) < 0)
        return 0;
    return interface_usage_parse(str_text(&text), out);
}
