#include "base/str.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"

#include "base/banned.h"

Test(str, grows_and_always_ends_in_nul)
{
    CLEANUP(str_done) struct str text = {};

    cr_expect_str_eq(str_text(&text), "");
    for (int i = 0; i < 1000; i++) {
        str_add_format(&text, "%d,", i);
        cr_assert_eq(strlen(text.data), text.length);
    }
    cr_expect_eq(text.length, 3890);
    str_cut(&text, 3);
    cr_expect_str_eq(text.data, "0,1");
    str_cut(&text, 10);
    cr_expect_eq(text.length, 3);
    str_add_bytes(&text, "\0x", 2);
    cr_expect_eq(text.length, 5);
    cr_expect_eq(text.data[5], 0);
    str_clear(&text);
    cr_expect_str_eq(text.data, "");
}

Test(str, formats_what_does_not_fit_at_first)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(str_done) struct str wide = {};

    str_add_format(&wide, "%*s", 100000, "x");
    cr_expect_eq(wide.length, 100000);
    str_add(&text, "a");
    str_add_format(&text, "%s%s", wide.data, "end");
    cr_expect_eq(text.length, 100004);
    cr_expect_str_eq(text.data + 100001, "end");
}

Test(str, gives_itself_away)
{
    struct str text = {};
    CLEANUP(free) char *nothing = str_take(&text);

    str_add(&text, "abc");
    CLEANUP(free) char *taken = str_take(&text);
    cr_expect_str_eq(nothing, "");
    cr_expect_str_eq(taken, "abc");
    cr_expect_null(text.data);
    cr_expect_eq(text.length, 0);
}

Test(buf, is_a_queue)
{
    CLEANUP(buf_done) struct buf buf = {};
    size_t written = 0, read = 0;

    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 7; i++, written++)
            buf_add(&buf, &(uint8_t){ (uint8_t)written }, 1);
        for (int i = 0; i < 5; i++, read++) {
            cr_assert_eq(*buf_bytes(&buf), (uint8_t)read);
            buf_consume(&buf, 1);
        }
        cr_assert_eq(buf.size, written - read);
    }
    uint8_t *room = buf_room(&buf, 100000);
    memset(room, 7, 100000);
    buf_grow(&buf, 100000);
    cr_expect_eq(buf.size, written - read + 100000);
    cr_expect_eq(buf_bytes(&buf)[buf.size - 1], 7);
    buf_clear(&buf);
    cr_expect_eq(buf.size, 0);
}

Test(error, tells_the_story_from_the_outside_in)
{
    struct error err = {};

    errno = ENOENT;
    cr_expect_eq(error_sys(&err, "open %s", "x"), -1);
    cr_expect_eq(err.sys, ENOENT);
    cr_expect_eq(err.kind, ERROR_INTERNAL);
    cr_expect_eq(error_context(&err, "layer %d", 5), -1);
    cr_expect_str_eq(err.text, "layer 5: open x: no such file or directory");
    cr_expect_eq(error_set(&err, ERROR_CONFLICT, "no"), -1);
    cr_expect_eq(err.sys, 0);
    cr_expect_eq(error_set(NULL, ERROR_CONFLICT, "no"), -1);
    cr_expect_eq(error_sys(NULL, "no"), -1);
    cr_expect_eq(error_context(NULL, "no"), -1);
}

Test(error, keeps_what_is_put_behind_whole)
{
    struct error err;
    char words[ERROR_TEXT_SIZE * 2];

    error_set(&err, ERROR_INVALID, "no such key");
    cr_expect_eq(error_add(&err, " (line %d)", 5), -1);
    cr_expect_str_eq(err.text, "no such key (line 5)");
    memset(words, 'x', sizeof(words) - 1);
    words[sizeof(words) - 1] = 0;
    error_set(&err, ERROR_INVALID, "%s", words);
    error_add(&err, " (line %d)", 6);
    cr_expect_eq(strlen(err.text), ERROR_TEXT_SIZE - 1);
    cr_expect_str_eq(err.text + ERROR_TEXT_SIZE - 1 - strlen("x (line 6)"), "x (line 6)");
    error_add(&err, "%s", words);
    cr_expect_eq(strlen(err.text), ERROR_TEXT_SIZE - 1);
    cr_expect_eq(error_add(NULL, "no"), -1);
}

Test(error, cuts_at_a_whole_character)
{
    CLEANUP(str_done) struct str text = {};
    struct error err = {};

    for (int shift = 0; shift < 4; shift++) {
        str_clear(&text);
        str_add_bytes(&text, "xxx", (size_t)shift);
        for (int i = 0; i < 600; i++)
            str_add(&text, "\xe2\x82\xac");
        error_set(&err, ERROR_INVALID, "%s", text.data);
        size_t length = strlen(err.text);
        cr_expect_eq((length - (size_t)shift) % 3, 0, "%d: %zu", shift, length);
        cr_expect_gt(length, ERROR_TEXT_SIZE - 5);
        error_context(&err, "context");
        cr_expect_eq((strlen(err.text) - strlen("context: ") - (size_t)shift) % 3, 0);
    }
}

Test(error, names_kinds)
{
    cr_expect_str_eq(error_kind_name(ERROR_NOT_FOUND), "NOT_FOUND");
    cr_expect_eq(error_kind_from_name("UNAVAILABLE"), ERROR_UNAVAILABLE);
    cr_expect_eq(error_kind_from_name("what?"), ERROR_INTERNAL);
    cr_expect_eq(error_kind_from_name(NULL), ERROR_INTERNAL);
}
