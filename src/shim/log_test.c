#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "shim/log_files.h"
#include "shim/log_gzip.h"
#include "shim/log_line.h"
#include "shim/log_read.h"
#include "shim/log_write.h"

#include "base/banned.h"

#define NOW INT64_C(1767323045120000000) /* 2026-01-02T03:04:05.12Z */

static char dir_path[64], path[128];

static void set_up(void)
{
    snprintf(dir_path, sizeof(dir_path), "/tmp/berth-log-XXXXXX");
    cr_assert(mkdtemp(dir_path));
    snprintf(path, sizeof(path), "%s/c-json.log", dir_path);
}

static void tear_down(void)
{
    tree_remove(dir_path, NULL);
}

TestSuite(log, .init = set_up, .fini = tear_down);

static struct log_writer *open_writer(int64_t max_size, int max_files, const char *attributes)
{
    struct shim_log_options options = { .driver = "json-file",
                                        .path = path,
                                        .max_size_bytes = max_size,
                                        .max_files = max_files,
                                        .attributes = attributes };
    struct log_writer *writer = NULL;
    struct error err = {};

    cr_assert_eq(log_writer_open(&options, -1, &writer, &err), 0, "%s", err.text);
    return writer;
}

static char *content(const char *name)
{
    struct str text = {};
    struct error err = {};

    cr_assert_eq(file_read(name, 64 << 20, &text, &err), 0, "%s", err.text);
    return str_take(&text);
}

static struct log_reader *open_reader_with(struct log_reader_options options)
{
    struct log_reader *reader = NULL;
    struct error err = {};

    options.path = path;
    options.stdout_wanted = options.stderr_wanted = true;
    cr_assert_eq(log_reader_open(&options, &reader, &err), 0, "%s", err.text);
    return reader;
}

static struct log_reader *open_reader(int64_t tail, int64_t since_ns, int64_t until_ns)
{
    return open_reader_with((struct log_reader_options){
        .tail = tail, .since_ns = since_ns, .until_ns = until_ns, .follows = true });
}

/* All texts that are there, one after the other. */
static char *read_texts(struct log_reader *reader)
{
    struct str texts = {};
    struct log_entry entry;
    struct error err = {};
    int result;

    while ((result = log_reader_next(reader, &entry, &err)) > 0)
        str_add_bytes(&texts, entry.text, entry.size);
    cr_assert_eq(result, 0, "%s", err.text);
    return str_take(&texts);
}

/* ---- lines */

/* clang-format off */
static const struct { const char *text; size_t size; const char *escaped; } escapes[] = {
    { "plain",                                  5, "plain" },
    { "sixteen bytes ok and more than those",  36, "sixteen bytes ok and more than those" },
    { "a<b>&\"q\" \\ tab\tx",                  16, "a\\u003cb\\u003e\\u0026\\\"q\\\" \\\\ tab\\u0009x" },
    { "\x1b[31mred",                            8, "\\u001b[31mred" },
    { "cr\r",                                   3, "cr\\r" },
    { "nul\0x",                                 5, "nul\\u0000x" },
    { "\x7f",                                   1, "\x7f" },
    { "\b\f",                                   2, "\\u0008\\u000c" },
    { "no newline\xff\xfe" "bad",              15, "no newline\\ufffd\\ufffdbad" },
    { "\xe2\x80\xa8z\xe2\x80\xa9",              7, "\\u2028z\\u2029" },
    { "\xe2\x80\xa7",                           3, "\xe2\x80\xa7" },
    { "gr\xc3\xbc\xc3\x9f",                     6, "gr\xc3\xbc\xc3\x9f" },
    { "\xf0\x9f\x98\x80!",                      5, "\xf0\x9f\x98\x80!" },
    { "\xef\xbf\xbd",                           3, "\xef\xbf\xbd" },
    { "\xc0\x80",                               2, "\\ufffd\\ufffd" },
    { "\xe0\x80\x80",                           3, "\\ufffd\\ufffd\\ufffd" },
    { "\xed\xa0\x80",                           3, "\\ufffd\\ufffd\\ufffd" },
    { "\xf4\x90\x80\x80",                       4, "\\ufffd\\ufffd\\ufffd\\ufffd" },
    { "\xe2\x82",                               2, "\\ufffd\\ufffd" },
    { "123456789012345\"",                     16, "123456789012345\\\"" },
    { "1234567890123456\"",                    17, "1234567890123456\\\"" },
};
/* clang-format on */

Test(log, escapes_as_the_docker_engine_does)
{
    for (size_t i = 0; i < COUNT(escapes); i++) {
        CLEANUP(free) char *out = xcalloc(escapes[i].size * LOG_ESCAPED_SIZE + 17, 1);
        char *end = out;

        cr_expect_eq(log_text_escape(escapes[i].text, escapes[i].size, &end), escapes[i].size);
        *end = '\0';
        cr_expect_str_eq(out, escapes[i].escaped, "row %zu: %s", i, out);
    }
}

Test(log, reads_back_what_it_wrote)
{
    for (size_t i = 0; i < COUNT(escapes); i++) {
        CLEANUP(str_done) struct str text = {}, attributes = {}, line = {}, again = {};
        struct log_entry entry;

        str_add_char(&line, '{');
        str_add(&line, "\"log\":\"");
        str_add(&line, escapes[i].escaped);
        log_line_end(&line, i % 2, i % 3 ? NULL : "{\"a\":\"}\\\"\"}", NOW + (int64_t)i);
        cr_assert(log_line_decode(line.data, line.length - 1, &text, &attributes, &entry), "%s",
                  line.data);
        cr_expect_eq(entry.wall_ns, NOW + (int64_t)i);
        cr_expect_eq(entry.is_stderr, i % 2);
        if (i % 3)
            cr_expect_null(entry.attributes);
        else
            cr_expect_str_eq(entry.attributes, "{\"a\":\"}\\\"\"}");
        /* Escaping what was read gives the same again: U+FFFD stands for the bad bytes then. */
        str_reserve(&again, entry.size * LOG_ESCAPED_SIZE + 17);
        char *end = again.data;
        log_text_escape(entry.text, entry.size, &end);
        *end = '\0';
        if (!strstr(escapes[i].escaped, "\\ufffd"))
            cr_expect_str_eq(again.data, escapes[i].escaped);
    }
}

/* clang-format off */
static const struct { const char *line; bool accepted; const char *text; } lines[] = {
    { "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}",  true,  "a\n" },
    { " { \"time\" : \"2026-01-02T03:04:05Z\" , \"log\" : \"b\" } ",                 true,  "b" },
    { "{\"log\":\"\\ud83d\\ude00\\ud83dx\",\"new\":[1,{\"x\":\"]\"}],\"n\":1.5e3}",  true,  "\xf0\x9f\x98\x80\xef\xbf\xbdx" },
    { "{\"log\":\"\\u00e4\\b\\/\"}",                                                 true,  "\xc3\xa4\b/" },
    { "{}",                                                                          true,  "" },
    { "",                                                                            false, NULL },
    { "{\"log\":\"a",                                                                false, NULL },
    { "{\"log\":\"a\\",                                                              false, NULL },
    { "{\"log\":\"a\\u12\"}",                                                        false, NULL },
    { "{\"log\":\"a\"",                                                              false, NULL },
    { "{\"log\":\"a\"}{",                                                            false, NULL },
    { "{\"log\":1}",                                                                 false, NULL },
    { "{\"log\":\"a\",\"time\":\"yesterday\"}",                                      false, NULL },
    { "{\"log\":\"a\",\"x\":[[[}",                                                   false, NULL },
};
/* clang-format on */

Test(log, accepts_entries_and_nothing_else)
{
    for (size_t i = 0; i < COUNT(lines); i++) {
        CLEANUP(str_done) struct str text = {}, attributes = {};
        struct log_entry entry;
        bool accepted = log_line_decode(lines[i].line, strlen(lines[i].line), &text, &attributes,
                                        &entry);

        cr_expect_eq(accepted, lines[i].accepted, "%s", lines[i].line);
        if (accepted && lines[i].accepted)
            cr_expect_str_eq(entry.text, lines[i].text);
    }
}

/* ---- writer */

Test(log, writes_the_bytes_of_a_json_file)
{
    struct log_writer *writer = open_writer(0, 1, "{\"E\":\"f\"}");

    log_writer_add(writer, LOG_STDOUT, "one\ntwo\nthr", 11, NOW);
    log_writer_add(writer, LOG_STDERR, "err\n", 4, NOW + 1);
    log_writer_add(writer, LOG_STDOUT, "ee\nrest", 7, NOW + 2);
    log_writer_end(writer, LOG_STDOUT, NOW + 3);
    log_writer_close(writer);
    CLEANUP(free) char *text = content(path);
    cr_expect_str_eq(text, "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"attrs\":{\"E\":\"f\"},"
                           "\"time\":\"2026-01-02T03:04:05.12Z\"}\n"
                           "{\"log\":\"two\\n\",\"stream\":\"stdout\",\"attrs\":{\"E\":\"f\"},"
                           "\"time\":\"2026-01-02T03:04:05.12Z\"}\n"
                           "{\"log\":\"err\\n\",\"stream\":\"stderr\",\"attrs\":{\"E\":\"f\"},"
                           "\"time\":\"2026-01-02T03:04:05.120000001Z\"}\n"
                           "{\"log\":\"three\\n\",\"stream\":\"stdout\",\"attrs\":{\"E\":\"f\"},"
                           "\"time\":\"2026-01-02T03:04:05.120000002Z\"}\n"
                           "{\"log\":\"rest\",\"stream\":\"stdout\",\"attrs\":{\"E\":\"f\"},"
                           "\"time\":\"2026-01-02T03:04:05.120000003Z\"}\n");
    struct stat stat_;
    cr_assert_eq(stat(path, &stat_), 0);
    cr_expect_eq(stat_.st_mode & 0777, 0640);
}

static const struct {
    size_t line_size, step;
    const char *entry_sizes;
} splits[] = {
    { 40004, 40005, "16384 16384 7237 " },
    { 40004, 1, "16384 16384 7237 " },
    { 40004, 4096, "16384 16384 7237 " },
    { 16384, 70000, "16384 1 " },
    { 16384, 1000, "16384 1 " },
    { 16383, 16384, "16384 " },
    { 16383, 7, "16384 " },
    { 16385, 16384, "16384 2 " },
};

Test(log, splits_lines_at_16_kib_whatever_the_batches)
{
    for (size_t i = 0; i < COUNT(splits); i++) {
        size_t size = splits[i].line_size + 1;
        CLEANUP(free) char *text = xmalloc(size);
        CLEANUP(str_done) struct str sizes = {};
        struct log_writer *writer = open_writer(0, 1, NULL);
        struct log_entry entry;
        int64_t first_ns = 0, at_ns = NOW;

        memset(text, 'x', size);
        text[size - 1] = '\n';
        for (size_t at = 0; at < size; at += splits[i].step)
            log_writer_add(writer, LOG_STDOUT, text + at, MIN(splits[i].step, size - at), at_ns++);
        log_writer_close(writer);
        CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
        while (log_reader_next(reader, &entry, NULL) > 0) {
            str_add_format(&sizes, "%zu ", entry.size);
            first_ns = first_ns ? first_ns : entry.wall_ns;
            cr_expect_eq(entry.wall_ns, first_ns, "parts bear one time");
        }
        cr_expect_str_eq(str_text(&sizes), splits[i].entry_sizes, "row %zu: %s", i,
                         str_text(&sizes));
        log_files_remove(path);
    }
}

Test(log, tears_no_character_apart)
{
    for (size_t shift = 0; shift < 4; shift++)
        for (size_t step = 1; step < 40000; step += 13331) {
            CLEANUP(str_done) struct str text = {};
            struct log_writer *writer = open_writer(0, 1, NULL);

            for (size_t i = 0; i < shift; i++)
                str_add_char(&text, 'a');
            while (text.length < 40000)
                str_add(&text, text.length % 7 ? "\xf0\x9f\x98\x80" : "\xe2\x82\xac");
            str_add_char(&text, '\n');
            for (size_t at = 0; at < text.length; at += step)
                log_writer_add(writer, LOG_STDOUT, text.data + at, MIN(step, text.length - at),
                               NOW);
            log_writer_close(writer);
            CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
            CLEANUP(free) char *got = read_texts(reader);
            cr_expect_str_eq(got, text.data);
            log_files_remove(path);
        }
}

Test(log, rotates_before_a_file_passes_its_size)
{
    struct log_writer *writer = open_writer(1000, 3, NULL);
    CLEANUP(free) char *oldest = log_file_path(path, 3, false);
    struct stat stat_;

    for (int i = 1; i <= 100; i++) {
        char line[16];
        int length = snprintf(line, sizeof(line), "line %d\n", i);

        log_writer_add(writer, LOG_STDOUT, line, (size_t)length, NOW);
        if (i % 7 == 0)
            log_writer_flush(writer);
    }
    log_writer_close(writer);
    for (int i = 0; i < 3; i++) {
        CLEANUP(free) char *name = log_file_path(path, i, false);

        cr_assert_eq(stat(name, &stat_), 0, "%s", name);
        cr_expect_leq(stat_.st_size, 1000);
        cr_expect_gt(stat_.st_size, i ? 900 : 0);
    }
    cr_expect_neq(stat(oldest, &stat_), 0, "three files are kept");
    CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
    CLEANUP(free) char *texts = read_texts(reader);
    cr_expect(strstr(texts, "line 99\nline 100\n"));
    cr_expect_eq(strncmp(texts, "line ", 5), 0);
    int first = 0, expected, seen;
    cr_assert_eq(sscanf(texts, "line %d", &first), 1);
    expected = first;
    for (const char *at = texts; *at; at = strchr(at, '\n') + 1)
        cr_expect(sscanf(at, "line %d", &seen) == 1 && seen == expected++);
    cr_expect_eq(expected, 101);
}

Test(log, keeps_one_file_if_told_so)
{
    struct log_writer *writer = open_writer(300, 1, NULL);

    for (int i = 0; i < 50; i++)
        log_writer_add(writer, LOG_STDOUT, "0123456789\n", 11, NOW);
    log_writer_close(writer);
    CLEANUP(free) char *older = log_file_path(path, 1, false);
    struct stat stat_;
    cr_expect_eq(stat(path, &stat_), 0);
    cr_expect_leq(stat_.st_size, 300);
    cr_expect_neq(stat(older, &stat_), 0);
}

Test(log, writes_an_entry_larger_than_the_file_may_be)
{
    struct log_writer *writer = open_writer(50, 2, NULL);

    log_writer_add(writer, LOG_STDOUT, "first\nsecond\nthird\n", 19, NOW);
    log_writer_close(writer);
    CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
    CLEANUP(free) char *texts = read_texts(reader);
    cr_expect_str_eq(texts, "second\nthird\n");
}

static const struct {
    const char *before, *after;
} torn[] = {
    { "{\"log\":\"a\\n\"}\n{\"log\":\"to", "{\"log\":\"a\\n\"}\n" },
    { "{\"log\":\"a\\n\"}\n", "{\"log\":\"a\\n\"}\n" },
    { "{\"log\":\"to", "" },
    { "", "" },
};

Test(log, removes_a_torn_line_when_it_opens)
{
    for (size_t i = 0; i < COUNT(torn); i++) {
        cr_assert_eq(
            file_write_atomic(path, torn[i].before, strlen(torn[i].before), 0640, false, NULL), 0);
        log_writer_close(open_writer(0, 1, NULL));
        CLEANUP(free) char *after = content(path);
        cr_expect_str_eq(after, torn[i].after);
    }
}

Test(log, knows_its_drivers)
{
    struct shim_log_options options = { .driver = "none" };
    struct log_writer *writer = (void *)1;
    struct error err = {};

    cr_expect_eq(log_writer_open(&options, -1, &writer, &err), 0);
    cr_expect_null(writer);
    log_writer_add(writer, LOG_STDOUT, "x\n", 2, NOW); /* none: no crash */
    options.driver = "journald";
    options.path = path;
    cr_expect_eq(log_writer_open(&options, -1, &writer, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
}

/* ---- reader */

static void write_numbers(struct log_writer *writer, int from, int to)
{
    for (int i = from; i <= to; i++) {
        char line[16];
        int length = snprintf(line, sizeof(line), "%d\n", i);

        log_writer_add(writer, i % 2 ? LOG_STDOUT : LOG_STDERR, line, (size_t)length,
                       NOW + i * NS_PER_S);
    }
    log_writer_flush(writer);
}

static const struct {
    int64_t tail;
    int since, until; /* entry numbers, 0: no bound */
    const char *texts;
} views[] = {
    { -1, 0, 0, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n" },
    { 0, 0, 0, "" },
    { 1, 0, 0, "10\n" },
    { 4, 0, 0, "7\n8\n9\n10\n" },
    { 10, 0, 0, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n" },
    { 99, 0, 0, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n" },
    { -1, 8, 0, "8\n9\n10\n" },
    { -1, 0, 3, "1\n2\n3\n" },
    { -1, 4, 6, "4\n5\n6\n" },
    { 5, 8, 9, "8\n9\n" },
    { 5, 0, 3, "" },
};

/* How many entries there are at or behind 'since_ns', counted one by one. */
static size_t count_since(int64_t since_ns)
{
    CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
    struct log_entry entry;
    size_t count = 0;

    while (log_reader_next(reader, &entry, NULL) > 0)
        count += entry.wall_ns >= since_ns;
    return count;
}

/* Lines of two streams over a clock that wavers, and one long line whose parts come all along and
 * bear the time of its beginning. */
static void write_disorder(struct log_writer *writer)
{
    char line[1024], parts[LOG_TEXT_LIMIT / 4];
    int64_t at_ns = NOW;

    memset(line, 'x', sizeof(line));
    memset(parts, 'p', sizeof(parts));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 4000; i++) {
        at_ns += 20 * NS_PER_MS;
        if (i % 500 == 499)
            at_ns -= 9 * NS_PER_S;
        if (i > 300 && i % 2)
            log_writer_add(writer, LOG_STDERR, parts, sizeof(parts), at_ns);
        log_writer_add(writer, LOG_STDOUT, line, sizeof(line), at_ns);
        log_writer_flush(writer);
    }
}

Test(log, finds_a_time_in_what_is_not_quite_in_order)
{
    struct log_writer *writer = open_writer(0, 1, NULL);

    write_disorder(writer);
    log_writer_close(writer);
    for (int64_t since_ns = NOW + 1; since_ns < NOW + 40 * NS_PER_S; since_ns += NS_PER_S / 3) {
        CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, since_ns, 0);
        struct log_entry entry;
        size_t count = 0;

        while (log_reader_next(reader, &entry, NULL) > 0)
            count++;
        cr_expect_eq(count, count_since(since_ns), "since %lld", (long long)since_ns);
    }
}

Test(log, does_not_go_back_in_time_for_a_small_step)
{
    static const int64_t steps_s[] = { 0, 5, -4, 1, 20, 11, 12, -60, -62, 2 },
                         wanted_s[] = { 0, 5, 5, 5, 20, 20, 20, -60, -60, 2 };
    struct log_writer *writer = open_writer(0, 1, NULL);
    struct log_entry entry;

    for (size_t i = 0; i < COUNT(steps_s); i++)
        log_writer_add(writer, LOG_STDOUT, "x\n", 2, NOW + steps_s[i] * NS_PER_S);
    log_writer_close(writer);
    CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
    for (size_t i = 0; i < COUNT(wanted_s); i++) {
        cr_assert_eq(log_reader_next(reader, &entry, NULL), 1);
        cr_expect_eq((entry.wall_ns - NOW) / NS_PER_S, wanted_s[i], "entry %zu", i);
    }
}

static void check_views(void)
{
    for (size_t i = 0; i < COUNT(views); i++) {
        CLEANUP(log_reader_close)
        struct log_reader *reader =
            open_reader(views[i].tail, views[i].since ? NOW + views[i].since * NS_PER_S : 0,
                        views[i].until ? NOW + views[i].until * NS_PER_S : 0);
        CLEANUP(free) char *texts = read_texts(reader);

        cr_expect_str_eq(texts, views[i].texts, "row %zu: %s", i, texts);
    }
}

Test(log, shows_tail_and_span_of_one_file)
{
    struct log_writer *writer = open_writer(0, 1, NULL);

    write_numbers(writer, 1, 10);
    check_views();
    log_writer_close(writer);
}

Test(log, shows_tail_and_span_over_rotated_files)
{
    struct log_writer *writer = open_writer(200, 20, NULL);
    struct stat stat_;

    write_numbers(writer, 1, 10);
    CLEANUP(free) char *older = log_file_path(path, 3, false);
    cr_assert_eq(stat(older, &stat_), 0);
    check_views();
    log_writer_close(writer);
}

Test(log, reads_gzipped_files)
{
    struct log_writer *writer = open_writer(200, 20, NULL);
    CLEANUP(free)
    char *command = xasprintf(
        "gzip %s.2 && for i in 3 4 5 6; do test ! -e %s.$i || gzip %s.$i; done", path, path, path);

    write_numbers(writer, 1, 10);
    cr_assert_eq(system(command), 0);
    check_views();
    log_writer_close(writer);
}

Test(log, shows_only_the_streams_wanted)
{
    struct log_writer *writer = open_writer(0, 1, NULL);
    struct log_reader_options options = { .path = path, .tail = -1, .stderr_wanted = true };
    CLEANUP(log_reader_close) struct log_reader *reader = NULL;

    write_numbers(writer, 1, 6);
    log_writer_close(writer);
    cr_assert_eq(log_reader_open(&options, &reader, NULL), 0);
    CLEANUP(free) char *texts = read_texts(reader);
    cr_expect_str_eq(texts, "2\n4\n6\n");
}

Test(log, follows_over_rotations_without_loss)
{
    struct log_writer *writer = open_writer(400, 1000, NULL);
    CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
    CLEANUP(str_done) struct str got = {}, wanted = {};
    int number = 1;

    for (int step = 0; step < 60; step++) {
        int next = number + step % 11; /* several rotations between two readings */

        write_numbers(writer, number, next);
        for (; number <= next; number++)
            str_add_format(&wanted, "%d\n", number);
        if (step % 3 == 0) {
            CLEANUP(free) char *texts = read_texts(reader);

            str_add(&got, texts);
            cr_expect_str_eq(str_text(&got), str_text(&wanted));
        }
    }
    log_writer_close(writer);
}

/* 0: nothing further. */
static int next_number(struct log_reader *reader)
{
    struct log_entry entry;
    struct error err = {};
    int result = log_reader_next(reader, &entry, &err), number = 0;

    cr_assert_geq(result, 0, "%s", err.text);
    if (result > 0)
        cr_assert_eq(sscanf(entry.text, "%d", &number), 1);
    return number;
}

static void expect_next_numbers(struct log_reader *reader, int from, int to)
{
    for (int i = from; i <= to; i++)
        cr_assert_eq(next_number(reader), i, "in place of %d", i);
}

/* Four entries to a file. */
Test(log, holds_what_is_rotated_away_while_it_is_read)
{
    struct log_writer *writer = open_writer(300, 3, NULL);

    write_numbers(writer, 101, 112);
    CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
    write_numbers(writer, 113, 140);
    expect_next_numbers(reader, 101, 112);
    expect_next_numbers(reader, 129, 129); /* what nobody held is lost; these files are held now */
    write_numbers(writer, 141, 180);
    expect_next_numbers(reader, 130, 140);
    expect_next_numbers(reader, 169, 180);
    cr_expect_eq(next_number(reader), 0);
    log_writer_close(writer);
}

Test(log, ends_where_it_ended_when_it_was_opened)
{
    static const int64_t tails[] = { -1, 3 };
    struct log_writer *writer = open_writer(300, 1000, NULL);

    for (int i = 0; i < (int)COUNT(tails); i++) {
        int end = 106 + i * 20;

        write_numbers(writer, i == 0 ? 101 : 116, end);
        CLEANUP(log_reader_close)
        struct log_reader *reader =
            open_reader_with((struct log_reader_options){ .tail = tails[i] });
        write_numbers(writer, end + 1, 115 + i * 20);
        expect_next_numbers(reader, tails[i] < 0 ? 101 : end - 2, end);
        cr_expect_eq(next_number(reader), 0);
        cr_expect_eq(next_number(reader), 0);
    }
    log_writer_close(writer);
}

static _Atomic bool is_over;

static void *write_on(void *writer)
{
    for (int i = 1; !is_over; i++)
        write_numbers(writer, i, i);
    return NULL;
}

/* The names move many times while a reader opens them. */
Test(log, opens_all_files_of_a_log_that_rotates_all_the_while)
{
    enum { READERS = 2000 };
    struct log_writer *writer = open_writer(1, 4, NULL);
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, write_on, writer), 0);
    for (int i = 0; i < READERS; i++) {
        CLEANUP(log_reader_close)
        struct log_reader *reader = open_reader_with((struct log_reader_options){ .tail = -1 });
        int last = next_number(reader), number;

        for (; (number = next_number(reader)) > 0; last = number)
            cr_assert_eq(number, last + 1, "%d follows %d", number, last);
    }
    is_over = true;
    pthread_join(thread, NULL);
    log_writer_close(writer);
}

Test(log, waits_for_more_and_for_torn_lines_to_be_whole)
{
    CLEANUP(log_reader_close) struct log_reader *reader = open_reader(-1, 0, 0);
    CLEANUP(free) char *nothing = read_texts(reader);
    struct error err = {};

    cr_expect_str_eq(nothing, "");
    cr_expect_eq(log_reader_wait(reader, 1000, -1, &err), 1, "the first time");
    cr_expect_eq(log_reader_wait(reader, 1, -1, &err), 0, "nothing came");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    cr_assert_eq(write(fd, "{\"log\":\"a", 9), 9);
    cr_expect_eq(log_reader_wait(reader, 10000, -1, &err), 1);
    CLEANUP(free) char *half = read_texts(reader);
    cr_expect_str_eq(half, "");
    cr_assert_eq(write(fd, "\\n\"}\ngarbage\n{\"log\":\"b\"}\n", 26), 26);
    cr_expect_eq(log_reader_wait(reader, 10000, -1, &err), 1);
    CLEANUP(free) char *whole = read_texts(reader);
    cr_expect_str_eq(whole, "a\nb");
    close(fd);

    int pipe_fds[2];
    cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    close(pipe_fds[1]);
    cr_expect_eq(log_reader_wait(reader, 10000, pipe_fds[0], &err), 0, "cancelled");
    close(pipe_fds[0]);
}

Test(log, forgets_a_torn_line_that_the_writer_removes)
{
    CLEANUP(log_reader_close) struct log_reader *reader = NULL;

    struct log_writer *writer = open_writer(0, 1, NULL);
    write_numbers(writer, 1, 2);
    log_writer_close(writer);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    cr_assert_eq(write(fd, "{\"log\":\"torn", 12), 12);
    close(fd);
    reader = open_reader(-1, 0, 0);
    CLEANUP(free) char *first = read_texts(reader);
    cr_expect_str_eq(first, "1\n2\n");
    writer = open_writer(0, 1, NULL);
    write_numbers(writer, 3, 3);
    CLEANUP(free) char *second = read_texts(reader);
    cr_expect_str_eq(second, "3\n");
    log_writer_close(writer);
}

Test(log, removes_its_files_and_no_others)
{
    static const struct {
        const char *name;
        bool is_removed;
    } names[] = {
        { "c-json.log", true },      { "c-json.log.1", true },      { "c-json.log.12.gz", true },
        { "c-json.log.old", false }, { "c-json.log.1.bz2", false }, { "other-c-json.log", false },
    };

    for (size_t i = 0; i < COUNT(names); i++) {
        CLEANUP(free) char *name = path_join(dir_path, names[i].name);
        cr_assert_eq(file_write_atomic(name, "", 0, 0600, false, NULL), 0);
    }
    log_files_remove(path);
    for (size_t i = 0; i < COUNT(names); i++) {
        CLEANUP(free) char *name = path_join(dir_path, names[i].name);
        cr_expect_eq(file_exists(name), !names[i].is_removed, "%s", names[i].name);
    }
}

/* ---- compressed files */

Test(log, knows_a_compressed_file_by_what_it_was)
{
    CLEANUP(free) char *compressed = log_file_path(path, 1, true);
    struct log_identity plain, found, other;
    uint8_t head[LOG_GZIP_HEAD_SIZE];
    struct error err = {};

    log_writer_close(open_writer(0, 1, NULL));
    cr_assert(log_identity_find(path, 0, false, &plain));
    cr_assert(!log_identity_find(path, 1, true, &found));
    log_gzip_head_write(&plain, head);
    cr_assert_eq(file_write_atomic(compressed, head, sizeof(head), 0600, false, &err), 0);
    cr_assert(log_identity_find(path, 1, true, &found));
    cr_expect(log_identity_equal(&found, &plain));
    /* Somebody else's compression says nothing: the file is itself. */
    head[12] = 'X';
    cr_assert_eq(file_write_atomic(compressed, head, sizeof(head), 0600, false, &err), 0);
    cr_assert(log_identity_find(path, 1, true, &other));
    cr_expect(!log_identity_equal(&other, &plain));
}
