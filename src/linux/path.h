/* Paths of which somebody else chose a component: a container's tree, an image, a request. Every
 * look-up goes through openat2 below a root descriptor, as if that directory were "/" (absolute
 * links and ".." stay inside) and refuses /proc's magic links. Paths may be given with or without a
 * leading '/'. Descriptors returned are O_CLOEXEC. Kinds: NOT_FOUND for ENOENT and ENOTDIR,
 * FORBIDDEN for EACCES, EPERM and ELOOP (a magic link), CONFLICT for EEXIST, INTERNAL for the rest;
 * 'sys' is always set. */
#ifndef BERTH_LINUX_PATH_H
#define BERTH_LINUX_PATH_H

#include <sys/types.h>

#include "base/error.h"

/* open(2) inside the root. O_PATH opens follow the last link too unless O_NOFOLLOW is given.
 * 'mode' counts with O_CREAT only. */
int path_open(int root_fd, const char *path, int flags, mode_t mode, struct error *err);

/* A directory and its missing parents; gives an O_PATH descriptor of it. Links that lead nowhere
 * are completed (the directory they name is made). */
int path_make_dir(int root_fd, const char *path, mode_t mode, struct error *err);

/* An empty file, if there is nothing yet, with its missing parents (0755); gives an O_PATH
 * descriptor of what is there. */
int path_make_file(int root_fd, const char *path, mode_t mode, struct error *err);

/* The directory that holds the last component, whose name (borrowed from 'path', no '/') is
 * *out_name. INVALID for paths whose last component is missing, "." or "..". 'make': create
 * missing directories (0755). */
int path_open_parent(int root_fd, const char *path, int make, const char **out_name,
                     struct error *err);

/* This process' /proc, verified to be the root of a procfs. */
int procfs_open(struct error *err);
/* Writes a file of procfs through such a descriptor: crosses no mount and follows no magic link, so
 * that nothing mounted over /proc can take its place. One write call. */
int procfs_write(int proc_fd, const char *path, const char *text, struct error *err);

#endif
