// A pool of threads, one for all operators of the process. Tasks are numbered; who runs which is left to chance, so whoever
// wants the same result under any number of threads makes tasks, not threads, the unit of rounding.
#ifndef OPGEN_PARALLEL_H
#define OPGEN_PARALLEL_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <atomic>

namespace opgen {

class __attribute__((visibility("default"))) PoolV1 {  // a new name whenever its memory changes
 public:
  using Task = void (*)(void* context, int64_t index);

  // The static of an inline function of default visibility is one object in the process for all libraries that g++ built,
  // so ten operators in four frameworks share the threads. It is never destroyed: a sleeping thread may outlive main.
  static PoolV1& instance() {
    static PoolV1* pool = new PoolV1;
    return *pool;
  }

  static int hardware_threads() {
    if (const char* text = getenv("OPGEN_NUM_THREADS")) {
      const int n = atoi(text);
      if (n > 0) return n;
    }
    if (const cpu_set_t* set = unbound()) return CPU_COUNT(set);
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  }

  // With OMP_PROC_BIND, as PyTorch users set it, OpenMP ties the caller's thread to one processor, and threads that it makes
  // inherit that. Then: the processors that a thread may be put on; else null.
  static const cpu_set_t* unbound() {
    static const struct Found {
      cpu_set_t set;
      bool bound = false;
      Found() {
        const char* const bind = getenv("OMP_PROC_BIND");
        if ((!bind || strcasecmp(bind, "false") == 0) && !getenv("GOMP_CPU_AFFINITY") && !getenv("KMP_AFFINITY")) return;
        pthread_t thread;
        if (pthread_create(&thread, nullptr, &Found::look, this) == 0) pthread_join(thread, nullptr);
      }
      static void* look(void* self) {
        Found& found = *static_cast<Found*>(self);
        memset(&found.set, 0xff, sizeof found.set);
        found.bound = sched_setaffinity(0, sizeof found.set, &found.set) == 0 &&
                      sched_getaffinity(0, sizeof found.set, &found.set) == 0;
        return nullptr;
      }
    } found;
    return found.bound ? &found.set : nullptr;
  }

  // Runs task(context, i) for i in [0, count), on at most `threads` threads, the caller's among them. A second caller that
  // finds the pool busy does its own work alone: no caller waits for another.
  void run(int64_t count, int threads, Task task, void* context) {
    if (threads <= 0) threads = hardware_threads();
    if (threads > count) threads = static_cast<int>(count);
    if (threads <= 1 || pthread_mutex_trylock(&owner_) != 0) {
      for (int64_t i = 0; i < count; ++i) task(context, i);
      return;
    }
    grow(threads - 1);
    pthread_mutex_lock(&mutex_);
    task_ = task;
    context_ = context;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    wanted_ = threads - 1 < workers_ ? threads - 1 : workers_;
    running_ = 0;
    ++generation_;
    pthread_cond_broadcast(&start_);
    pthread_mutex_unlock(&mutex_);
    drain();
    pthread_mutex_lock(&mutex_);
    wanted_ = 0;  // who has not woken by now need not
    while (running_ > 0) pthread_cond_wait(&done_, &mutex_);
    pthread_mutex_unlock(&mutex_);
    pthread_mutex_unlock(&owner_);
  }

 private:
  PoolV1() { reset(); pthread_atfork(nullptr, nullptr, [] { instance().reset(); }); }

  // A forked child has the pool's memory but none of its threads.
  void reset() {
    pthread_mutex_init(&owner_, nullptr);
    pthread_mutex_init(&mutex_, nullptr);
    pthread_cond_init(&start_, nullptr);
    pthread_cond_init(&done_, nullptr);
    workers_ = wanted_ = running_ = 0;
  }

  void grow(int workers) {
    while (workers_ < workers) {
      pthread_t thread;
      if (pthread_create(&thread, nullptr, &PoolV1::work, this) != 0) return;  // fewer threads, the same result
      pthread_detach(thread);
      ++workers_;
    }
  }

  void drain() {
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count_;) task_(context_, i);
  }

  static void* work(void* self) {
    PoolV1& pool = *static_cast<PoolV1*>(self);
    if (const cpu_set_t* set = unbound()) sched_setaffinity(0, sizeof *set, set);
    uint64_t seen = 0;
    pthread_mutex_lock(&pool.mutex_);
    for (;;) {
      while (pool.wanted_ == 0 || pool.generation_ == seen) pthread_cond_wait(&pool.start_, &pool.mutex_);
      seen = pool.generation_;
      --pool.wanted_;
      ++pool.running_;
      pthread_mutex_unlock(&pool.mutex_);
      pool.drain();
      pthread_mutex_lock(&pool.mutex_);
      if (--pool.running_ == 0) pthread_cond_signal(&pool.done_);
    }
  }

  pthread_mutex_t owner_, mutex_;
  pthread_cond_t start_, done_;
  Task task_ = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> next_{0};
  uint64_t generation_ = 0;
  int workers_ = 0, wanted_ = 0, running_ = 0;
};

// Calls body(i) for i in [0, count) on the pool.
template <class Body>
void parallel_for(int64_t count, int threads, Body&& body) {
  PoolV1::instance().run(count, threads, [](void* context, int64_t i) { (*static_cast<Body*>(context))(i); }, &body);
}

}  // namespace opgen
#endif
