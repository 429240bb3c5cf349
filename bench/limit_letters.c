#include "limit_letters.h"

#include "base/object.h"

#include <stdlib.h>

struct limit_letter *limit_letter_new(int fd, uint32_t user, struct limit_push *push)
{
    struct limit_letter *letter = object_zalloc(sizeof *letter);
    limit_push_ref(push);
    *letter = (struct limit_letter){.fd = fd, .user = user, .push = push};
    return letter;
}

void limit_letter_free(struct limit_letter *letter)
{
    limit_push_unref(letter->push);
    free(letter);
}

void limit_letters_add(struct limit_letters *letters, struct limit_letter *letter)
{
    letter->next = NULL;
    if (letters->first == NULL)
        letters->end = &letters->first;
    *letters->end = letter;
    letters->end = &letter->next;
}
