#include "cli/csv.h"

#include <criterion/criterion.h>

#include "base/memory.h"

#include "base/banned.h"

static const struct {
    const char *line, *joined; /* with '|'; NULL: refused */
} lines[] = {
    { "a,b=c", "a|b=c" },
    { "", "" },
    { "a,", "a|" },
    { "\"a,b\",c", "a,b|c" },
    { "\"say \"\"x\"\"\"", "say \"x\"" },
    { "\"a", NULL },
    { "\"a\"b", NULL },
    { "a\"b\"", NULL },
};

Test(csv, splits_fields)
{
    for (size_t i = 0; i < COUNT(lines); i++) {
        CLEANUP(strv_done) struct strv fields = {};
        struct error err = {};
        int result = csv_split(lines[i].line, &fields, &err);

        cr_assert_eq(result, lines[i].joined ? 0 : -1, "%s", lines[i].line);
        if (result < 0)
            continue;
        CLEANUP(free) char *joined = strv_join(&fields, "|");
        cr_expect_str_eq(joined, lines[i].joined);
    }
}
