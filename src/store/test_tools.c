#include "store/test_tools.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/tree.h"

#include "base/banned.h"

char test_directory[64];
struct database *test_database;
struct store *test_store;
static struct error err;

static int sink_write(struct stream *stream, const void *data, size_t size,
                      struct error *ignored UNUSED)
{
    str_add_bytes(CONTAINER_OF(stream, struct text_sink, stream)->out, data, size);
    return 0;
}

struct text_sink text_sink(struct str *out)
{
    return (struct text_sink){ { .write = sink_write }, out };
}

void archive_add_entry(struct str *archive, const struct tar_entry *entry, const void *content)
{
    struct text_sink sink = text_sink(archive);
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(&sink.stream, false, &err);

    cr_assert_eq(tar_writer_entry(writer, entry, &err), 0, "%s", err.text);
    if (entry->size)
        cr_assert_eq(tar_writer_data(writer, content, (size_t)entry->size, &err), 0);
    while (archive->length % 512)
        str_add_bytes(archive, "", 1);
}

void archive_add(struct str *archive, const char *text)
{
    static const struct {
        const char *mark;
        enum tar_type type;
    } marks[] = {
        { " -> ", TAR_SYMLINK },         { " => ", TAR_HARDLINK }, { " = ", TAR_FILE },
        { " % ", TAR_CHARACTER_DEVICE }, { " |", TAR_FIFO },
    };
    CLEANUP(free) char *name = xstrdup(text);
    char *rest = NULL;
    struct tar_entry entry = { .name = name, .type = TAR_FILE, .mode = 0644, .mtime_s = 1000 };

    for (size_t i = 0; i < COUNT(marks) && !rest; i++) {
        rest = strstr(name, marks[i].mark);
        if (!rest)
            continue;
        entry.type = marks[i].type;
        *rest = 0;
        rest += strlen(marks[i].mark);
    }
    if (!rest && text[strlen(text) - 1] == '/') {
        entry.type = TAR_DIRECTORY;
        entry.mode = 0755;
    }
    if (entry.type == TAR_FILE && rest)
        entry.size = (int64_t)strlen(rest);
    if (entry.type == TAR_SYMLINK || entry.type == TAR_HARDLINK)
        entry.link_target = rest;
    if (entry.type == TAR_CHARACTER_DEVICE)
        cr_assert_eq(sscanf(rest, "%u:%u", &entry.device_major, &entry.device_minor), 2);
    archive_add_entry(archive, &entry, rest);
}

void archive_finish(struct str *archive)
{
    char zeros[1024] = {};

    str_add_bytes(archive, zeros, sizeof(zeros));
}

void archive_make(struct str *out, const char *entries)
{
    const char *end;

    for (; *entries; entries = *end ? end + 2 : end) {
        end = strstr(entries, ", ") ?: entries + strlen(entries);
        CLEANUP(free) char *entry = xstrndup(entries, (size_t)(end - entries));
        archive_add(out, entry);
    }
    archive_finish(out);
}

void test_directory_make(void)
{
    snprintf(test_directory, sizeof(test_directory), "/tmp/berth-store-XXXXXX");
    cr_assert(mkdtemp(test_directory));
}

void test_store_open(const char *driver)
{
    CLEANUP(free) char *database_path = path_join(test_directory, "berth.db");
    struct store_options options = { .data_path = test_directory, .driver = driver };

    cr_assert_eq(database_open(database_path, &test_database, &err), 0, "%s", err.text);
    cr_assert_eq(store_open(&options, test_database, &test_store, &err), 0, "%s", err.text);
}

void test_store_close(void)
{
    store_close(TAKE(test_store));
    database_close(TAKE(test_database));
}

void test_store_remove(void)
{
    test_store_close();
    cr_assert_eq(tree_remove(test_directory, &err), 0, "%s", err.text);
}

void test_unpack(const char *parent_id, const char *entries, bool canonical, struct layer *out)
{
    CLEANUP(str_done) struct str archive = {};

    archive_make(&archive, entries);
    CLEANUP(stream_close)
    struct stream *stream = stream_from_memory(archive.data, archive.length);
    cr_assert_eq(store_layer_unpack(test_store, parent_id, stream, canonical, out, &err), 0,
                 "%s: %s", entries, err.text);
}

static int describe_entry(void *data, const struct tree_entry *entry, struct error *ignored)
{
    CLEANUP(str_done) struct str content = {};
    char target[256] = {};

    str_add_format(data, "%s%s", ((struct str *)data)->length ? " " : "", entry->path);
    switch (entry->status.st_mode & S_IFMT) {
    case S_IFREG: {
        CLEANUP(close) int fd = openat(entry->dir_fd, entry->name, O_RDONLY | O_CLOEXEC);

        if (fd >= 0 && entry->status.st_size < 64)
            file_read_fd(fd, 64, &content, ignored);
        str_add_format(data, "=%s", str_text(&content));
        break;
    }
    case S_IFLNK:
        cr_assert_geq(readlinkat(entry->dir_fd, entry->name, target, sizeof(target) - 1), 0);
        str_add_format(data, "->%s", target);
        break;
    case S_IFCHR:
        str_add_format(data, "%%%u:%u", major(entry->status.st_rdev), minor(entry->status.st_rdev));
        break;
    case S_IFIFO:
        str_add(data, "|");
        break;
    default:
        break;
    }
    return 0;
}

char *test_describe(int dir_fd)
{
    static const struct tree_visitor visitor = { describe_entry, NULL };
    struct str text = {};

    cr_assert_eq(tree_walk(dir_fd, &visitor, &text, &err), 0, "%s", err.text);
    return str_take(&text);
}
