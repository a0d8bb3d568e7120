/* One joined line of a Dockerfile → word, flags and arguments. */
#ifndef BERTH_BUILD_LINE_H
#define BERTH_BUILD_LINE_H

#include "build/instruction.h"

/* Fills word, kind, text, flags, arguments and is_json of a zeroed instruction. INVALID with the
 * bare reason. */
int line_read(const char *line, char escape, struct instruction *out, struct error *err);

/* Finds the here-documents that a line announces and adds them, without content, to the
 * instruction. */
void line_find_heredocs(const char *line, struct instruction *out);

#endif
