#include "spec/context_manifest.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"

static int read_text(const char *text, size_t size, struct context_manifest *out, struct error *err)
{
    char *copy = xcalloc(size + 1, 1);

    memcpy(copy, text, size);
    return context_manifest_read(copy, size, out, err);
}

Test(context_manifest, reads_what_it_writes)
{
    const struct context_entry entries[] = {
        { CONTEXT_DIRECTORY, 0755, 0, 5, "-", "a dir", NULL },
        { CONTEXT_FILE, 04644, 12345678901, -1, "1.2.3", "a dir/the file", NULL },
        { CONTEXT_LINK, 0777, 0, 0, "x", "link", "../any where" },
    };
    CLEANUP(context_manifest_done) struct context_manifest manifest = {};
    CLEANUP(str_done) struct str text = {};
    struct error err = {};

    for (size_t i = 0; i < COUNT(entries); i++)
        context_manifest_add(&text, &entries[i]);
    cr_assert_eq(read_text(text.data, text.length, &manifest, &err), 0, "%s", err.text);
    cr_assert_eq(manifest.count, COUNT(entries));
    for (size_t i = 0; i < COUNT(entries); i++) {
        const struct context_entry *entry = context_manifest_find(&manifest, entries[i].path);

        cr_assert_not_null(entry);
        cr_expect_eq(entry->type, entries[i].type);
        cr_expect_eq(entry->mode, entries[i].mode);
        cr_expect_eq(entry->size, entries[i].size);
        cr_expect_eq(entry->modified_s, entries[i].modified_s);
        cr_expect_str_eq(entry->identity, entries[i].identity);
    }
    cr_expect_str_eq(manifest.entries[2].target, "../any where");
    cr_expect_null(context_manifest_find(&manifest, "gone"));
}

/* clang-format off */
#define RECORD(text) { text, sizeof(text) }
static const struct { const char *text; size_t size; } wrong[] = {
    RECORD("f 644 1 1 i /absolute"), RECORD("f 644 1 1 i ../out"), RECORD("f 644 1 1 i a/../b"), RECORD("f 644 1 1 i ./a"),
    RECORD("f 644 1 1 i a//b"), RECORD("f 644 1 1 i a/"), RECORD("f 644 1 1 i "), RECORD("f 644 1 1 i a/b"),
    RECORD("f 644 1 1 i a\0f 644 1 1 i a"), RECORD("f 644 1 1 i a\0f 644 1 1 i a/b"), RECORD("x 644 1 1 i a"), RECORD("ff 644 1 1 i a"),
    RECORD("f 888 1 1 i a"), RECORD("f -1 1 1 i a"), RECORD("f 17777 1 1 i a"), RECORD("f 644 -1 1 i a"), RECORD("f 644 1 x i a"),
    RECORD("f 644 1 1  a"), RECORD("f 644 1 1 i"), RECORD("f"), RECORD(""), RECORD("l 777 0 0 i a"), RECORD("l 777 0 0 i a\0"),
    { "f 644 1 1 i a", 13 }, { "l 777 0 0 i a\0b", 15 },
};
/* clang-format on */

Test(context_manifest, refuses_what_is_not_clean)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP(context_manifest_done) struct context_manifest manifest = {};
        struct error err = {};

        cr_expect_eq(read_text(wrong[i].text, wrong[i].size, &manifest, &err), -1, "%s",
                     wrong[i].text);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}
