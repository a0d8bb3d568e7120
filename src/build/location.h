/* Where something is wrong in a Dockerfile, shown with the lines around it. */
#ifndef BERTH_BUILD_LOCATION_H
#define BERTH_BUILD_LOCATION_H

#include "base/str.h"

/* The N of "… on line N: …" or "(line N)" in the text of an error, 0 if there is none. */
int location_line(const char *message);

/* Adds "Dockerfile:3", and the lines around with a mark; nothing for line 0. */
void location_show(const char *name, const char *text, int line, struct str *out);

#endif
