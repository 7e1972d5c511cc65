/* What passthrough.c asks of making.c. */
#include <linux/fuse.h>
#include <stddef.h>
#include <stdint.h>

/* At each mount: nothing may be made. */
void making_reset(void);

/* Whether a CREATE was answered; `body` and `size` are what follows its header. */
int making_answer(int fd, const struct fuse_in_header *in, const char *body, size_t size);

/* What Python answers to a CREATE: before it is sent. */
void making_replied(uint64_t unique, const struct fuse_entry_out *entry, const struct fuse_open_out *open);
