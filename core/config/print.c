/* print.c: the resolved experiment as INI text. */
#include "config/internal.h"

tn_status tn_config_print(const struct tn_config *config, bool with_places, struct tn_text *text)
{
    char title[512];
    for (size_t i = 0; i < config->section_count; i++) {
        const struct tn_section *section = &config->sections[i];
        int widest = 0;
        for (size_t k = 0; k < section->entry_count; k++)
            if ((int)strlen(section->entries[k].key) > widest)
                widest = (int)strlen(section->entries[k].key);
        tn_text_format(text, "%s%s\n", i ? "\n" : "", tn__section_title(section, title, sizeof title));
        for (size_t k = 0; k < section->entry_count; k++) {
            const struct tn_entry *entry = &section->entries[k];
            tn_text_format(text, "%-*s = %s", widest, entry->key, entry->value);
            if (with_places && entry->file && entry->line)
                tn_text_format(text, "  ; %s:%u", entry->file, entry->line);
            else if (with_places)
                tn_text_format(text, "  ; %s", entry->file ? entry->file : "default");
            tn_text_add(text, "\n");
        }
    }
    return text->failed ? TN_NO_MEMORY : TN_OK;
}
