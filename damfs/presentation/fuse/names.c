/*
 * Names that are not there. Who makes a file looks whether it is there, and with O_EXCL the kernel asks again, whatever
 * it remembers: the last such answer of Python's holds for the same process until anything has changed. And of one
 * directory, in which files are made one after the other, Python tells every name: what is not among them is not there.
 *
 * Those names are kept as hashes, in a set that only grows: Python tells of each name that comes, none is taken out, and
 * two that share a hash cost a question. Names that mean more than themselves (see `is_plain`) are Python's business.
 *
 * Concurrency: everything is under one mutex. Crash rule: nothing outlives the process.
 */
#define _GNU_SOURCE
#include "names.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/uio.h>

#define EXPORTED __attribute__((visibility("default")))
#define NAME_ROOM 256
#define FNV_BASIS 14695981039346656037u
#define FNV_PRIME 1099511628211u
#define FIRST_ROOM 1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long changes;

static struct {
	uint64_t parent;
	uint32_t pid;
	char name[NAME_ROOM];
	uint64_t unique; /* of the request that waits for its answer; 0: none does */
	long change;	 /* when it was asked */
	int known;
	struct fuse_entry_out entry;
} absence;

static struct {
	uint64_t directory;
	int whole; /* every name that is there is in the set */
	int answerable;
	struct fuse_entry_out absent; /* how Python says that a plain name is not there */
	uint64_t *hashes;	      /* open addressing; 0: free */
	size_t count, room;
} known;

static uint32_t spared; /* the process whose questions Python has to see */

/* Names that Python refuses, or answers in a way of its own: each ends with a 0. */
static char *reserved;
static size_t reserved_size;

long current_changes(void) { return changes; }

static void forget_names(void)
{
	free(known.hashes);
	known.hashes = NULL;
	known.count = known.room = 0;
	known.whole = 0;
}

void names_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(&absence, 0, sizeof absence);
	forget_names();
	known.directory = 0;
	known.answerable = 0;
	pthread_mutex_unlock(&lock);
}

/* ---- the set ---- */

static uint64_t hash_of(const char *name, size_t size)
{
	uint64_t hash = FNV_BASIS;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)name[i]) * FNV_PRIME;
	return hash ? hash : 1;
}

static size_t place_of(uint64_t hash)
{
	size_t place = hash & (known.room - 1);

	while (known.hashes[place] && known.hashes[place] != hash)
		place = (place + 1) & (known.room - 1);
	return place;
}

static int make_room(size_t room)
{
	uint64_t *old = known.hashes;
	size_t old_room = known.room;

	known.hashes = calloc(room, sizeof *known.hashes);
	if (!known.hashes) {
		known.hashes = old;
		return 0;
	}
	known.room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[i])
			known.hashes[place_of(old[i])] = old[i];
	free(old);
	return 1;
}

/* `size` is without the 0 at its end. */
static void add(const char *name, size_t size)
{
	uint64_t hash = hash_of(name, size);
	size_t place;

	if (2 * (known.count + 1) > known.room && !make_room(known.room ? 2 * known.room : FIRST_ROOM)) {
		forget_names(); /* no memory: nothing is known */
		return;
	}
	place = place_of(hash);
	known.count += known.hashes[place] == 0;
	known.hashes[place] = hash;
}

static int may_be_there(const char *name, size_t size)
{
	return !known.hashes || known.hashes[place_of(hash_of(name, size))] != 0;
}

/* ---- which names are plain ---- */

static int is_plain_sign(unsigned char sign)
{
	return (sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z') || (sign >= '0' && sign <= '9') ||
	       sign == '.' || sign == '_' || sign == '-';
}

/* Neither hidden, nor in a form that stands for something (`~`, brackets), nor any that needs to be spelled otherwise. */
static int is_plain(const char *name, size_t size)
{
	if (!reserved || size < 4 || size > NAME_ROOM || name[size - 1] != 0 || name[0] == '.')
		return 0;
	for (size_t i = 0; i + 1 < size; i++)
		if (!is_plain_sign((unsigned char)name[i]))
			return 0;
	for (size_t at = 0; at < reserved_size; at += strlen(reserved + at) + 1)
		if (strcasecmp(reserved + at, name) == 0)
			return 0;
	return 1;
}

/* ---- questions ---- */

static int is_absence(const struct fuse_in_header *in, const char *name, size_t size)
{
	return absence.parent == in->nodeid && absence.pid == in->pid && absence.change == changes &&
	       size <= sizeof absence.name && memcmp(absence.name, name, size) == 0;
}

static int is_missing(const struct fuse_in_header *in, const char *name, size_t size)
{
	return known.whole && known.directory == in->nodeid && in->pid != spared && is_plain(name, size) &&
	       !may_be_there(name, size - 1);
}

int names_answer(int fd, const struct fuse_in_header *in, const char *name, size_t size)
{
	struct fuse_out_header out = {.len = sizeof out + sizeof absence.entry, .unique = in->unique};
	struct fuse_entry_out entry;
	struct iovec iov[2] = {{&out, sizeof out}, {&entry, sizeof entry}};
	int is_known;

	pthread_mutex_lock(&lock);
	is_known = absence.known && is_absence(in, name, size);
	if (is_known) {
		entry = absence.entry;
	} else if (known.answerable && is_missing(in, name, size)) {
		is_known = 1;
		entry = known.absent;
	} else if (size <= sizeof absence.name) {
		memset(&absence, 0, sizeof absence);
		absence.parent = in->nodeid;
		absence.pid = in->pid;
		absence.unique = in->unique;
		absence.change = changes;
		memcpy(absence.name, name, size);
	}
	pthread_mutex_unlock(&lock);
	return is_known && writev(fd, iov, 2) > 0;
}

void names_replied(const struct fuse_out_header *out, const void *payload, size_t size)
{
	pthread_mutex_lock(&lock);
	if (absence.unique == out->unique && absence.unique != 0) {
		absence.unique = 0;
		if (out->error == 0 && size == sizeof absence.entry) {
			memcpy(&absence.entry, payload, sizeof absence.entry);
			absence.known = absence.entry.nodeid == 0 && absence.change == changes;
		}
		if (absence.known && absence.parent == known.directory &&
		    is_plain(absence.name, strlen(absence.name) + 1)) {
			known.absent = absence.entry;
			known.answerable = 1;
		}
	}
	pthread_mutex_unlock(&lock);
}

int names_free(const struct fuse_in_header *in, const char *name, size_t size)
{
	int is_free;

	pthread_mutex_lock(&lock);
	is_free = is_plain(name, size) &&
		  (is_missing(in, name, size) || (absence.known && is_absence(in, name, size)));
	pthread_mutex_unlock(&lock);
	return is_free;
}

void names_add(uint64_t directory, const char *name, size_t size)
{
	pthread_mutex_lock(&lock);
	if (known.directory == directory)
		add(name, size);
	absence.known = absence.unique = 0; /* other views show it as well; and also what Python is about to answer */
	pthread_mutex_unlock(&lock);
}

/* ---- for Python ---- */

/* At each commit: what was not there may be there now. */
EXPORTED void damfs_changed(void) { changes++; }

/* Of this directory names are told from now on. */
EXPORTED void damfs_names_begin(uint64_t directory)
{
	pthread_mutex_lock(&lock);
	forget_names();
	known.answerable = known.answerable && known.directory == directory;
	known.directory = directory;
	pthread_mutex_unlock(&lock);
}

/* Names that are there, or come: each ends with a 0. With `whole` there are no others but those that were told before. */
EXPORTED void damfs_names_add(const char *names, size_t size, int whole)
{
	pthread_mutex_lock(&lock);
	if (size && names[size - 1] == 0)
		for (size_t at = 0; at < size; at += strlen(names + at) + 1)
			add(names + at, strlen(names + at));
	known.whole = known.whole || whole;
	if (whole && !known.hashes)
		known.whole = make_room(FIRST_ROOM);
	pthread_mutex_unlock(&lock);
}

EXPORTED void damfs_names_reserve(const char *names, size_t size)
{
	char *copy = malloc(size ? size : 1);

	if (!copy)
		return;
	memcpy(copy, names, size);
	pthread_mutex_lock(&lock);
	free(reserved);
	reserved = copy;
	reserved_size = size;
	pthread_mutex_unlock(&lock);
}

/* Questions of this process are not answered from the set. */
EXPORTED void damfs_names_spare(uint32_t pid)
{
	pthread_mutex_lock(&lock);
	spared = pid;
	pthread_mutex_unlock(&lock);
}
