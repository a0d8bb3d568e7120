/* For the tests of this folder: archives from a few words, a store in a directory of its own. */
#ifndef BERTH_STORE_TEST_TOOLS_H
#define BERTH_STORE_TEST_TOOLS_H

#include "base/str.h"
#include "codec/tar.h"
#include "store/store.h"

/* One entry. Names ending in '/' are directories; "a -> b" is a symbolic, "a => b" a hard link;
 * "a = text" a file with that content; "a % 1:3" a character device, "a |" a FIFO. */
void archive_add(struct str *archive, const char *entry);
void archive_add_entry(struct str *archive, const struct tar_entry *entry, const void *content);
void archive_finish(struct str *archive);
/* Entries separated by ", ". */
void archive_make(struct str *out, const char *entries);

/* A fresh directory under /tmp, removed by test_store_remove. */
extern char test_directory[64];
extern struct database *test_database;
extern struct store *test_store;
void test_directory_make(void);
void test_store_open(const char *driver);
void test_store_close(void);
void test_store_remove(void);

/* Unpacks entries over a parent; fails the test if that fails. */
void test_unpack(const char *parent_id, const char *entries, bool canonical, struct layer *out);

/* A writable stream into 'out'. */
struct text_sink {
    struct stream stream;
    struct str *out;
};
struct text_sink text_sink(struct str *out);

/* "a a/b=text c->target d%1:3 e|" of what is in a directory, sorted; file content only if short. */
char *test_describe(int dir_fd);

#endif
