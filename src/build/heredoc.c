/* Here-documents. The parser has found them and read their texts; this says what they are for. */
#include "build/heredoc.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "build/expand.h"

#include "base/banned.h"

/* digits<<… */
static bool announces(const char *word)
{
    while (isdigit((unsigned char)*word))
        word++;
    return text_starts(word, "<<");
}

const struct heredoc *heredoc_script(const struct instruction *instruction)
{
    const struct expander expander = { '\\',
                                       EXPAND_RAW_QUOTES | EXPAND_RAW_ESCAPES | EXPAND_KEEP_UNSET,
                                       NULL };
    CLEANUP(strv_done) struct strv words = {};

    if (instruction->heredoc_count != 1 || instruction->arguments.count != 1 ||
        expand_words(&expander, instruction->arguments.items[0], &words, NULL) < 0)
        return NULL;
    return words.count == 1 && announces(words.items[0]) ? &instruction->heredocs[0] : NULL;
}

bool heredoc_has_interpreter(const struct heredoc *heredoc)
{
    return text_starts(heredoc->content, "#!");
}

void heredoc_add_all(const struct instruction *instruction, const char *line, struct str *out)
{
    str_add(out, line);
    if (instruction->heredoc_count > 0)
        str_add(out, "\n");
    for (size_t i = 0; i < instruction->heredoc_count; i++)
        str_add_format(
            out, "%s%s%s", instruction->heredocs[i].content ? instruction->heredocs[i].content : "",
            instruction->heredocs[i].name, i + 1 < instruction->heredoc_count ? "\n" : "");
}

const struct heredoc *heredoc_of_argument(const struct instruction *instruction,
                                          const char *argument, size_t *index)
{
    if (*index >= instruction->heredoc_count || instruction->is_json || !announces(argument))
        return NULL;
    return &instruction->heredocs[(*index)++];
}

int heredoc_content(const struct heredoc *heredoc, const struct strv *environment, struct str *out,
                    struct error *err)
{
    const struct expander expander = { '\\', EXPAND_PLAIN_QUOTES, environment };
    const char *content = heredoc->content ? heredoc->content : "";

    if (heredoc->expand)
        return expand_word(&expander, content, out, err);
    str_add(out, content);
    return 0;
}
