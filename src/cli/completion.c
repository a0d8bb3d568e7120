/* completion: scripts for shells. They are thin: what can come next is worked out by the program
 * itself (complete.c), out of the tables that it parses by. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "cli/command.h"

#include "base/banned.h"

/* Stand for the program's name, and that name as part of a function's. */
#define NAME "\001"
#define WORD "\002"

/* The line is split here and not by bash, which also splits at ':' and '='; of a candidate it then
 * wants only what is behind the last of them. */
static const char bash_script[] =
    "# bash completion of " NAME "\n"
    "_" WORD "_complete() {\n"
    "    local line=\"${COMP_LINE:0:COMP_POINT}\" current candidate head=\n"
    "    local -a words\n"
    "    COMPREPLY=()\n"
    "    read -r -a words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=(\"\")\n"
    "    current=\"${words[${#words[@]} - 1]}\"\n"
    "    if [[ $current == *[:=]* ]]; then\n"
    "        [[ $COMP_WORDBREAKS == *=* && $current == *=* ]] && head=\"${current%%=*}=\"\n"
    "        [[ $COMP_WORDBREAKS == *:* && $current == *:* ]] && head=\"${current%:*}:\"\n"
    "    fi\n"
    "    while IFS=$'\\t' read -r candidate _; do\n"
    "        case $candidate in\n"
    "        :files) compopt -o default 2>/dev/null; COMPREPLY=(); return ;;\n"
    "        *[:=/]) compopt -o nospace 2>/dev/null ;;\n"
    "        esac\n"
    "        COMPREPLY+=(\"${candidate#\"$head\"}\")\n"
    "    done < <(\"${words[0]}\" __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _" WORD "_complete " NAME "\n";

static const char zsh_script[] =
    "#compdef " NAME "\n"
    "_" WORD "() {\n"
    "    local line\n"
    "    local -a candidates open\n"
    "    for line in \"${(@f)$(\"$words[1]\" __complete -- \"${(@)words[2,CURRENT]}\" "
    "2>/dev/null)}\"; do\n"
    "        [[ -z $line ]] && continue\n"
    "        [[ $line == :files ]] && { _files; return }\n"
    "        local value=\"${line%%$'\\t'*}\" about=\"${line#*$'\\t'}\"\n"
    "        if [[ $value == *[:=/] ]]; then\n"
    "            open+=(\"${value//:/\\\\:}:$about\")\n"
    "        else\n"
    "            candidates+=(\"${value//:/\\\\:}:$about\")\n"
    "        fi\n"
    "    done\n"
    "    (( $#candidates )) && _describe '" NAME "' candidates\n"
    "    (( $#open )) && _describe '" NAME "' open -S ''\n"
    "}\n"
    "if [[ $funcstack[1] == _" WORD " ]]; then\n"
    "    _" WORD " \"$@\"\n"
    "else\n"
    "    compdef _" WORD " " NAME "\n"
    "fi\n";

static const char fish_script[] =
    "# fish completion of " NAME "\n"
    "function __" WORD "_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    for line in ($words[1] __complete -- $words[2..-1] \"$current\" 2>/dev/null)\n"
    "        if test \"$line\" = :files\n"
    "            __fish_complete_path \"$current\"\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c " NAME " -f -a '(__" WORD "_complete)'\n";

/* clang-format off */
static const struct { const char *shell, *script; } scripts[] = {
    { "bash", bash_script },
    { "fish", fish_script },
    { "zsh",  zsh_script },
};
/* clang-format on */

static void print_script(const char *script, const char *program)
{
    for (; *script; script++)
        if (*script == *NAME)
            fputs(program, stdout);
        else if (*script == *WORD)
            for (const char *letter = program; *letter; letter++)
                putchar(*letter == '-' || *letter == '.' ? '_' : *letter);
        else
            putchar(*script);
}

static int completion(struct cli *cli, const void *options UNUSED, const struct strv *arguments,
                      struct error *err)
{
    for (size_t i = 0; i < COUNT(scripts); i++)
        if (strcmp(arguments->items[0], scripts[i].shell) == 0) {
            print_script(scripts[i].script, cli->program);
            return 0;
        }
    return error_set(err, ERROR_INVALID, "unknown shell: %s (bash, fish and zsh are known)",
                     arguments->items[0]);
}

const struct command command_completion = {
    .name = "completion",
    .usage = "bash|fish|zsh",
    .summary = "Print the script by which a shell completes our commands",
    .least = 1,
    .most = 1,
    .is_local = true,
    .run = completion,
};
