/* An entry is a small text: "enabled", the interpreter, flags, and the bytes that a program begins
 * with; of an ELF file these tell the class, the byte order and the machine. */
#include "linux/binfmt.h"

#include <dirent.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/strv.h"
#include "base/text.h"

#include "base/banned.h"

enum { ENTRY_LIMIT = 16384 };

/* clang-format off */
static const struct machine {
    const char *architecture;
    unsigned char class, order;
    unsigned short number;
} machines[] = {
    { "386",      ELFCLASS32, ELFDATA2LSB, EM_386     },
    { "amd64",    ELFCLASS64, ELFDATA2LSB, EM_X86_64  },
    { "arm",      ELFCLASS32, ELFDATA2LSB, EM_ARM     },
    { "arm64",    ELFCLASS64, ELFDATA2LSB, EM_AARCH64 },
    { "loong64",  ELFCLASS64, ELFDATA2LSB, 258        }, /* EM_LOONGARCH is newer than some elf.h */
    { "mips64",   ELFCLASS64, ELFDATA2MSB, EM_MIPS    },
    { "mips64le", ELFCLASS64, ELFDATA2LSB, EM_MIPS    },
    { "ppc64",    ELFCLASS64, ELFDATA2MSB, EM_PPC64   },
    { "ppc64le",  ELFCLASS64, ELFDATA2LSB, EM_PPC64   },
    { "riscv64",  ELFCLASS64, ELFDATA2LSB, EM_RISCV   },
    { "s390x",    ELFCLASS64, ELFDATA2MSB, EM_S390    },
};
/* clang-format on */

/* Does the magic, in hexadecimal digits, begin as the machine's programs do? */
static bool is_magic_of(const char *magic, const struct machine *machine)
{
    char head[2 * 6 + 1], number[5];
    unsigned low = machine->number & 0xFF, high = machine->number >> 8;

    snprintf(head, sizeof(head), "7f454c46%02x%02x", machine->class, machine->order);
    snprintf(number, sizeof(number), "%02x%02x", machine->order == ELFDATA2LSB ? low : high,
             machine->order == ELFDATA2LSB ? high : low);
    return strlen(magic) >= 2 * 20 && text_starts(magic, head) &&
           strncmp(magic + 2 * EI_NIDENT + 4, number, 4) == 0;
}

static bool entry_runs(const char *text, const struct machine *machine)
{
    CLEANUP(strv_done) struct strv lines = {};
    bool is_enabled = false, is_open = false, is_machine = false;

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        const char *line = lines.items[i];

        is_enabled |= strcmp(line, "enabled") == 0;
        is_open |= text_starts(line, "flags: ") && strchr(line + strlen("flags: "), 'F');
        is_machine |= text_starts(line, "magic ") && is_magic_of(line + strlen("magic "), machine);
    }
    return is_enabled && is_open && is_machine;
}

static bool file_runs(const char *path, const char *name, const struct machine *machine)
{
    CLEANUP(free) char *file = path_join(path, name);
    CLEANUP(str_done) struct str text = {};

    return file_read(file, ENTRY_LIMIT, &text, NULL) == 0 && entry_runs(str_text(&text), machine);
}

bool binfmt_runs(const char *path, const char *architecture)
{
    const struct machine *machine = NULL;
    bool runs = false;
    struct dirent *entry;

    for (size_t i = 0; i < COUNT(machines); i++)
        if (strcmp(machines[i].architecture, architecture) == 0)
            machine = &machines[i];
    DIR *directory = machine ? opendir(path) : NULL;
    while (directory && !runs && (entry = readdir(directory)))
        runs = entry->d_name[0] != '.' && strcmp(entry->d_name, "register") != 0 &&
               file_runs(path, entry->d_name, machine);
    if (directory)
        closedir(directory);
    return runs;
}
