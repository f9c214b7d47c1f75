/* report.c: what a scan tells people. */
#include <stdarg.h>
#include <string.h>

#include "directory.h"

/* Appends to a fixed text; what does not fit is left away. */
void text_add(char *text, size_t bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, bytes - used, format, arguments);
    va_end(arguments);
}

const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

void say(const struct directory *directory, int32_t level, const char *text)
{
    if (directory->host && directory->host->log)
        directory->host->log(level, text);
}

void say_left_out(const struct directory *directory)
{
    static const char *const names[FOREIGN_COUNT] = {FOREIGN_EXTENSIONS};
    const struct left_out *out = &directory->left_out;
    char text[1024] = "";
    uint64_t foreign = 0;
    for (size_t i = 0; i < FOREIGN_COUNT; i++)
        foreign += out->foreign[i];
    if (out->hidden)
        text_add(text, sizeof text, ", %llu hidden", (unsigned long long)out->hidden);
    if (foreign) {
        text_add(text, sizeof text, ", %llu picture%s without a codec (", (unsigned long long)foreign, plural(foreign));
        for (size_t i = 0, listed = 0; i < FOREIGN_COUNT; i++)
            if (out->foreign[i])
                text_add(text, sizeof text, "%s%llu .%s", listed++ ? ", " : "", (unsigned long long)out->foreign[i],
                         names[i]);
        text_add(text, sizeof text, ")");
    }
    if (out->loose)
        text_add(text, sizeof text, ", %llu picture%s outside of class folders", (unsigned long long)out->loose,
                 plural(out->loose));
    if (out->unnamed)
        text_add(text, sizeof text, ", %llu folder%s that %s no class here (%s)", (unsigned long long)out->unnamed,
                 plural(out->unnamed), out->unnamed == 1 ? "is" : "are", out->an_unnamed);
    if (out->linked)
        text_add(text, sizeof text, ", %llu linked folder%s (follow_links = yes goes into them)",
                 (unsigned long long)out->linked, plural(out->linked));
    if (out->loops)
        text_add(text, sizeof text, ", %llu link%s leading back", (unsigned long long)out->loops, plural(out->loops));
    if (out->excluded)
        text_add(text, sizeof text, ", %llu excluded", (unsigned long long)out->excluded);
    if (out->others)
        text_add(text, sizeof text, ", %llu other file%s", (unsigned long long)out->others, plural(out->others));
    if (!text[0])
        return;
    char line[1600];
    (void)snprintf(line, sizeof line, "%s: %llu pictures; left out%s", directory->path,
                   (unsigned long long)directory->index.file_count, text + 1);
    say(directory, foreign || out->loose || out->linked || out->unnamed ? TN_LOG_WARNING : TN_LOG_INFO, line);
}

void looked_for(const struct directory *directory, char *text, size_t bytes)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < directory->extensions.count; i++)
        text_add(text, bytes, "%s.%s", i ? ", " : "",
                 directory->extensions.items[i] + (directory->extensions.items[i][0] == '.'));
}
