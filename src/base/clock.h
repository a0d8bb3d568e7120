/* Time: two clocks and the texts that Docker writes and reads. Wall-clock times are nanoseconds
 * since 1970 (UTC) in an int64_t; 0 stands for "never". */
#ifndef BERTH_BASE_CLOCK_H
#define BERTH_BASE_CLOCK_H

#include <stdint.h>

#include "base/error.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

uint64_t clock_monotonic_ns(void);
int64_t clock_wall_ns(void);

#define TIME_TEXT_SIZE 36
/* RFC 3339 in UTC with nanoseconds, trailing zeros trimmed ("2026-01-02T03:04:05.12Z"); 0 gives
 * "0001-01-01T00:00:00Z". */
void time_format(int64_t wall_ns, char out[TIME_TEXT_SIZE]);
/* The same with exactly nine digits, as log timestamps have it. */
void time_format_fixed(int64_t wall_ns, char out[TIME_TEXT_SIZE]);
/* Reads RFC 3339 with any fraction and zone ("Z", "+01:00"); the zero time gives 0. */
int time_parse(const char *text, int64_t *out_wall_ns, struct error *err);

/* A date is a wall-clock time that may well be that of 1970, as images have it that are built to be
 * the same each time; "never", the year 1, is another one. */
#define DATE_NEVER INT64_MIN
void date_format(int64_t date_ns, char out[TIME_TEXT_SIZE]);
int date_parse(const char *text, int64_t *out_date_ns, struct error *err);
int64_t date_seconds(int64_t date_ns); /* since 1970, as Go counts: the year 1 too */

/* Go's duration: "1h30m", "10s", "1.5s", "100ms", "-3us", "0". */
int duration_parse(const char *text, int64_t *out_ns, struct error *err);

/* The same the other way, as Go prints durations: "1m30s", "1.5s", "100ms", "0s". Yours. */
char *duration_format(int64_t ns);

/* What clients accept for --since and the server for `until` filters: a duration (counted back from
 * now), RFC 3339 and its shortened forms (local zone), or seconds[.fraction] since 1970. */
int time_parse_human(const char *text, int64_t now_ns, int64_t *out_wall_ns, struct error *err);

/* Wire form of since/until: "seconds" or "seconds.nanos". Times that nanoseconds do not hold are
 * taken for the nearest far one. */
int time_parse_unix(const char *text, int64_t *out_wall_ns, struct error *err);
char *time_format_unix(int64_t wall_ns); /* "seconds.nanos", all nine digits. Yours. */
/* From what people write (time_parse_human) to that form. NULL stays NULL; else yours. */
int time_human_to_unix(const char *text, char **out, struct error *err);

/* "Less than a second", "5 seconds", "About a minute", "3 weeks": Docker's words for a length of
 * time. */
void duration_human(int64_t ns, char *out, size_t size);

#endif
