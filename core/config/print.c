/* print.c: the resolved experiment as INI text. */
#include "config/internal.h"

enum { WIDEST_COLUMN = 48 }; /* a value longer than this does not push the places of the others away */

/* Widths of the columns of one section. */
static void measure(const struct tn_section *section, int *key, int *value)
{
    *key = *value = 0;
    for (size_t k = 0; k < section->entry_count; k++) {
        size_t key_length = strlen(section->entries[k].key), value_length = strlen(section->entries[k].value);
        if (key_length <= WIDEST_COLUMN && (int)key_length > *key)
            *key = (int)key_length;
        if (value_length <= WIDEST_COLUMN && (int)value_length > *value)
            *value = (int)value_length;
    }
}

static void add_entry(const struct tn_entry *entry, int key, int value, bool with_place, struct tn_text *text)
{
    if (!with_place) {
        tn_text_format(text, "%-*s =%s%s\n", key, entry->key, *entry->value ? " " : "", entry->value);
        return;
    }
    tn_text_format(text, "%-*s = %-*s  ; %s", key, entry->key, value, entry->value,
                   entry->file ? entry->file : "default");
    if (entry->file && entry->line)
        tn_text_format(text, ":%u", entry->line);
    tn_text_add(text, "\n");
}

tn_status tn_config_print(const struct tn_config *config, bool with_places, struct tn_text *text)
{
    for (size_t i = 0; i < config->section_count; i++) {
        const struct tn_section *section = &config->sections[i];
        int key, value;
        measure(section, &key, &value);
        tn_text_format(text, "%s[%s%s%s]\n", i ? "\n" : "", section->kind, section->name[0] ? ":" : "", section->name);
        for (size_t k = 0; k < section->entry_count; k++)
            add_entry(&section->entries[k], key, value, with_places, text);
    }
    return text->failed ? TN_NO_MEMORY : TN_OK;
}
