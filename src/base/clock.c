/* Clocks and time texts. */
#include "base/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

uint64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t split(int64_t wall_ns, struct tm *out)
{
    int64_t seconds = wall_ns / NS_PER_S, rest = wall_ns % NS_PER_S;

    if (rest < 0) {
        rest += NS_PER_S;
        seconds--;
    }
    time_t whole = (time_t)seconds;
    gmtime_r(&whole, out);
    return rest;
}

void time_format_fixed(int64_t wall_ns, char out[TIME_TEXT_SIZE])
{
    struct tm tm;
    int64_t rest = split(wall_ns, &tm);

    snprintf(out, TIME_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)(rest % NS_PER_S));
}

void time_format(int64_t wall_ns, char out[TIME_TEXT_SIZE])
{
    if (wall_ns == 0) {
        snprintf(out, TIME_TEXT_SIZE, "0001-01-01T00:00:00Z");
        return;
    }
    time_format_fixed(wall_ns, out);
    size_t end = strlen(out) - 1;
    while (out[end - 1] == '0')
        end--;
    if (out[end - 1] == '.')
        end--;
    out[end] = 'Z';
    out[end + 1] = 0;
}

/* Reads ".123" into nanoseconds; digits behind the ninth are dropped. */
static const char *parse_fraction(const char *at, int64_t *out_ns)
{
    int64_t value = 0, scale = NS_PER_S / 10;

    *out_ns = 0;
    if (*at != '.' || !isdigit((unsigned char)at[1]))
        return at;
    for (at++; isdigit((unsigned char)*at); at++) {
        value += (*at - '0') * scale;
        scale /= 10;
    }
    *out_ns = value;
    return at;
}

static const char *parse_digits(const char *at, int count, int *out)
{
    *out = 0;
    for (int i = 0; i < count; i++, at++) {
        if (!isdigit((unsigned char)*at))
            return NULL;
        *out = *out * 10 + (*at - '0');
    }
    return at;
}

/* Zone: "Z", "+hh:mm", "-hh:mm". Gives seconds east of UTC. */
static const char *parse_zone(const char *at, int *out_offset_s)
{
    int hours, minutes, sign;

    if (*at == 'Z' || *at == 'z') {
        *out_offset_s = 0;
        return at + 1;
    }
    if (*at != '+' && *at != '-')
        return NULL;
    sign = *at == '-' ? -1 : 1;
    if (!(at = parse_digits(at + 1, 2, &hours)) || *at != ':' ||
        !(at = parse_digits(at + 1, 2, &minutes)))
        return NULL;
    *out_offset_s = sign * (hours * 3600 + minutes * 60);
    return at;
}

/* Date, optionally "T" and 1 to 3 fields of time, fraction and zone; without a zone the time is
 * local (or refused). */
static int parse_rfc3339(const char *text, int whole_only, int64_t *out)
{
    struct tm tm = { .tm_isdst = -1 };
    int offset_s, fields = 0, *const parts[] = { &tm.tm_hour, &tm.tm_min, &tm.tm_sec };
    int64_t fraction_ns = 0;
    const char *at = text;

    if (!(at = parse_digits(at, 4, &tm.tm_year)) || *at != '-' ||
        !(at = parse_digits(at + 1, 2, &tm.tm_mon)) || *at != '-' ||
        !(at = parse_digits(at + 1, 2, &tm.tm_mday)))
        return -1;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31)
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (*at == 'T' || *at == 't' || *at == ' ')
        for (; fields < 3 && (fields == 0 || *at == ':'); fields++)
            if (!(at = parse_digits(at + 1, 2, parts[fields])))
                return -1;
    if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return -1;
    if (fields == 3)
        at = parse_fraction(at, &fraction_ns);
    if (whole_only && (fields != 3 || !*at))
        return -1;

    /* February has no 30th: the calendar functions would make it March. */
    struct tm normal = { .tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday };
    timegm(&normal);
    if (normal.tm_mon != tm.tm_mon)
        return -1;

    int64_t seconds;
    if (*at) {
        if (!(at = parse_zone(at, &offset_s)) || *at)
            return -1;
        seconds = (int64_t)timegm(&tm) - offset_s;
    } else {
        seconds = (int64_t)mktime(&tm);
    }
    if (seconds > INT64_MAX / NS_PER_S - 1 || seconds < INT64_MIN / NS_PER_S + 1)
        *out = seconds > 0 ? INT64_MAX : 0; /* Go's zero time, year 1, is out of range too */
    else
        *out = seconds * NS_PER_S + fraction_ns;
    return 0;
}

int time_parse(const char *text, int64_t *out_wall_ns, struct error *err)
{
    if (parse_rfc3339(text, 1, out_wall_ns) < 0)
        return error_set(err, ERROR_INVALID, "\"%s\" is not an RFC 3339 time", text);
    return 0;
}

#define YEAR_1_S INT64_C(-62135596800)

void date_format(int64_t date_ns, char out[TIME_TEXT_SIZE])
{
    if (date_ns == 0)
        snprintf(out, TIME_TEXT_SIZE, "1970-01-01T00:00:00Z");
    else
        time_format(date_ns == DATE_NEVER ? 0 : date_ns, out);
}

int date_parse(const char *text, int64_t *out_date_ns, struct error *err)
{
    if (time_parse(text, out_date_ns, err) < 0)
        return -1;
    if (*out_date_ns == 0 && strncmp(text, "0001", 4) == 0)
        *out_date_ns = DATE_NEVER;
    return 0;
}

int64_t date_seconds(int64_t date_ns)
{
    return date_ns == DATE_NEVER ? YEAR_1_S : date_ns / NS_PER_S - (date_ns % NS_PER_S < 0);
}

/* A number with its unit: "1.5h". Integers throughout, so that no nanosecond is lost. */
static const char *parse_component(const char *at, uint64_t *total, const char **out_problem)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = { { "ns", 1 },
                  { "us", 1000 },
                  { "\xC2\xB5s", 1000 },
                  { "\xCE\xBCs", 1000 },
                  { "ms", 1000000 },
                  { "s", 1000000000 },
                  { "m", UINT64_C(60000000000) },
                  { "h", UINT64_C(3600000000000) } };
    uint64_t whole = 0, fraction = 0;
    double scale = 1;
    int digits = 0;

    *out_problem = "invalid";
    for (; isdigit((unsigned char)*at); at++, digits++) {
        if (whole > INT64_MAX / 10)
            return NULL;
        whole = whole * 10 + (uint64_t)(*at - '0');
    }
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at); at++, digits++)
            if (fraction <= INT64_MAX / 10) {
                fraction = fraction * 10 + (uint64_t)(*at - '0');
                scale *= 10;
            }
    if (!digits)
        return NULL;
    size_t length = strcspn(at, ".0123456789");
    *out_problem = length ? "unknown unit" : "missing unit";
    for (size_t i = 0; i < COUNT(units); i++) {
        if (strlen(units[i].name) != length || strncmp(at, units[i].name, length) != 0)
            continue;
        *out_problem = "invalid";
        if (whole > INT64_MAX / units[i].ns)
            return NULL;
        double part = (double)fraction * ((double)units[i].ns / scale);
        *total += whole * units[i].ns + (uint64_t)part;
        return *total > (uint64_t)INT64_MAX ? NULL : at + length;
    }
    return NULL;
}

int duration_parse(const char *text, int64_t *out_ns, struct error *err)
{
    const char *at = text, *problem = "invalid";
    uint64_t total = 0;
    int sign = 1;

    if (*at == '-' || *at == '+')
        sign = *at++ == '-' ? -1 : 1;
    bool is_zero = strcmp(at, "0") == 0;
    if (!*at)
        at = NULL;
    while (at && *at && !is_zero) {
        const char *component = at;

        at = parse_component(at, &total, &problem);
        if (!at && strcmp(problem, "unknown unit") == 0) {
            const char *unit = component + strspn(component, ".0123456789");

            return error_set(err, ERROR_INVALID, "time: unknown unit \"%.*s\" in duration \"%s\"",
                             (int)strcspn(unit, ".0123456789"), unit, text);
        }
    }
    if (!at && strcmp(problem, "missing unit") == 0)
        return error_set(err, ERROR_INVALID, "time: missing unit in duration \"%s\"", text);
    if (!at)
        return error_set(err, ERROR_INVALID, "time: invalid duration \"%s\"", text);
    *out_ns = sign * (int64_t)total;
    return 0;
}

/* In the year 2116: differences of two times fit nanoseconds too. */
#define LAST_SECOND (INT64_MAX / 2 / NS_PER_S)

int time_parse_unix(const char *text, int64_t *out_wall_ns, struct error *err)
{
    int64_t seconds = 0, fraction_ns;
    const char *at = text;
    int sign = 1;

    if (*at == '-') {
        sign = -1;
        at++;
    }
    if (!isdigit((unsigned char)*at))
        return error_set(err, ERROR_INVALID, "strconv.ParseInt: parsing \"%s\": invalid syntax",
                         text);
    for (; isdigit((unsigned char)*at); at++)
        if (__builtin_mul_overflow(seconds, 10, &seconds) ||
            __builtin_add_overflow(seconds, *at - '0', &seconds))
            return error_set(err, ERROR_INVALID,
                             "strconv.ParseInt: parsing \"%s\": value out of range", text);
    seconds = MIN(seconds, LAST_SECOND);
    at = parse_fraction(at, &fraction_ns);
    if (*at)
        return error_set(err, ERROR_INVALID, "strconv.ParseInt: parsing \"%s\": invalid syntax",
                         text);
    *out_wall_ns = sign * (seconds * NS_PER_S + fraction_ns);
    return 0;
}

int time_parse_human(const char *text, int64_t now_ns, int64_t *out_wall_ns, struct error *err)
{
    struct error ignored;
    int64_t ns;

    if (time_parse_unix(text, out_wall_ns, &ignored) == 0)
        return 0;
    if (duration_parse(text, &ns, &ignored) == 0) {
        *out_wall_ns = now_ns - ns;
        return 0;
    }
    if (parse_rfc3339(text, 0, out_wall_ns) == 0)
        return 0;
    return error_set(err, ERROR_INVALID, "failed to parse value as time or duration: \"%s\"", text);
}

char *time_format_unix(int64_t wall_ns)
{
    return xasprintf("%lld.%09lld", (long long)(wall_ns / NS_PER_S),
                     (long long)(wall_ns % NS_PER_S));
}

int time_human_to_unix(const char *text, char **out, struct error *err)
{
    int64_t wall_ns;

    *out = NULL;
    if (!text)
        return 0;
    if (time_parse_human(text, clock_wall_ns(), &wall_ns, err) < 0)
        return -1;
    *out = time_format_unix(wall_ns);
    return 0;
}

/* A number of 'unit' ns with as many of 'digits' decimals as it needs. */
static void add_fraction(struct str *out, uint64_t ns, uint64_t unit, int digits, const char *name)
{
    str_add_format(out, "%llu", (unsigned long long)(ns / unit));
    if (ns % unit) {
        str_add_format(out, ".%0*llu", digits, (unsigned long long)(ns % unit));
        while (out->data[out->length - 1] == '0')
            str_cut(out, out->length - 1);
    }
    str_add(out, name);
}

char *duration_format(int64_t ns)
{
    uint64_t rest = ns < 0 ? -(uint64_t)ns : (uint64_t)ns, seconds = rest / NS_PER_S;
    struct str out = {};

    if (ns < 0)
        str_add_char(&out, '-');
    if (rest == 0)
        str_add(&out, "0s");
    else if (rest < 1000)
        add_fraction(&out, rest, 1, 0, "ns");
    else if (rest < 1000000)
        add_fraction(&out, rest, 1000, 3, "\xc2\xb5s");
    else if (rest < NS_PER_S)
        add_fraction(&out, rest, 1000000, 6, "ms");
    else {
        if (seconds >= 3600)
            str_add_format(&out, "%lluh", (unsigned long long)(seconds / 3600));
        if (seconds >= 60)
            str_add_format(&out, "%llum", (unsigned long long)(seconds / 60 % 60));
        add_fraction(&out, rest % (60 * NS_PER_S), NS_PER_S, 9, "s");
    }
    return str_take(&out);
}

void duration_human(int64_t ns, char *out, size_t size)
{
    int64_t seconds = ns / NS_PER_S, minutes = seconds / 60, hours = (seconds + 1800) / 3600;

    if (seconds < 1)
        snprintf(out, size, "Less than a second");
    else if (seconds == 1)
        snprintf(out, size, "1 second");
    else if (seconds < 60)
        snprintf(out, size, "%" PRId64 " seconds", seconds);
    else if (minutes == 1)
        snprintf(out, size, "About a minute");
    else if (minutes < 60)
        snprintf(out, size, "%" PRId64 " minutes", minutes);
    else if (hours == 1)
        snprintf(out, size, "About an hour");
    else if (hours < 48)
        snprintf(out, size, "%" PRId64 " hours", hours);
    else if (hours < 24 * 7 * 2)
        snprintf(out, size, "%" PRId64 " days", hours / 24);
    else if (hours < 24 * 30 * 2)
        snprintf(out, size, "%" PRId64 " weeks", hours / 24 / 7);
    else if (hours < 24 * 365 * 2)
        snprintf(out, size, "%" PRId64 " months", hours / 24 / 30);
    else
        snprintf(out, size, "%" PRId64 " years", seconds / 3600 / 24 / 365);
}
