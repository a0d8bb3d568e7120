/* Here-documents: what RUN, COPY and ADD make of the texts behind their lines. */
#ifndef BERTH_BUILD_HEREDOC_H
#define BERTH_BUILD_HEREDOC_H

#include "base/error.h"
#include "base/str.h"
#include "build/instruction.h"

/* The document that is all that a RUN consists of ("RUN <<EOF"): it is the script; NULL if there is
 * more on the line. */
const struct heredoc *heredoc_script(const struct instruction *instruction);

/* Does the script name its interpreter ("#!/usr/bin/python3")? Then it is a file to execute. */
bool heredoc_has_interpreter(const struct heredoc *heredoc);

/* Adds what a shell is told: the line and the documents behind it, as they were written. */
void heredoc_add_all(const struct instruction *instruction, const char *line, struct str *out);

/* The document that an argument of COPY or ADD ("<<EOF", "<<-'x'") announces: the next one, in the
 * order of the line, from number *index on, which moves on. NULL if the argument is no
 * announcement. */
const struct heredoc *heredoc_of_argument(const struct instruction *instruction,
                                          const char *argument, size_t *index);

/* The content for COPY and ADD: with variables replaced unless the name was quoted. */
int heredoc_content(const struct heredoc *heredoc, const struct strv *environment, struct str *out,
                    struct error *err);

#endif
