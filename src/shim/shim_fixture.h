/* What the tests of supervisors share: a bundle with a busybox container, a monitor that notes what
 * it was told, and clients. */
#ifndef BERTH_SHIM_SHIM_FIXTURE_H
#define BERTH_SHIM_SHIM_FIXTURE_H

#include <sys/types.h>

#include "base/map.h"
#include "base/thread.h"
#include "shim/shim.h"

#define ID      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BUSYBOX "/bin/busybox"
enum { LIMIT_MS = 20000 };

/* What the supervisors told. */
struct told {
    struct mutex lock;
    struct condition changed;
    int exits, detaches, losses, shortages, exit_code;
    bool oom_killed;
    int64_t exit_ns;
    struct map exec_exits; /* id → text of the code */
    pid_t lost_pid;
};

extern struct told told;
extern char bundle_path[128], run_path[128], log_path[128];
extern struct shim_monitor *monitor;
extern const char *resources; /* JSON, for the next configuration */

/* For test suites. The tests need root and the program beside this one, and are skipped otherwise.
 */
void set_up(void);
void tear_down(void);
void open_monitor(void);

/* Waits for something to be told. */
void wait_until(bool (*is_so)(void));
bool has_exited(void);
bool exec_has_exited(void);
bool has_detached(void);
bool is_short_of_memory(void);
bool is_lost(void);

/* A configuration for `busybox sh -c <script>`, and what a container of it takes. */
void write_config(const char *script, bool terminal);
void make_process(struct runtime_process *out, const char *script);
struct shim_options usual_options(void);
struct shim *create(const char *script, bool terminal, bool stdin_open, bool stdin_once);
void start(struct shim *shim);
void forget(struct shim *shim);

/* One end for the supervisor, the other for us. */
extern const struct shim_stream_options all_raw;
int attach(struct shim *shim, struct shim_stream_options options);
/* All until the end, or until 'stop' is in what was read. Bytes of frames' heads show as they are.
 */
void read_until(int fd, const char *stop, struct str *out);
void send_text(int fd, const char *text);
/* All entries, with O: or E: in front. */
char *logged(void);

#endif
