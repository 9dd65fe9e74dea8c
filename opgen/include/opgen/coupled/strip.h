// A few systems of a group that are solved side by side by one thread.
#ifndef OPGEN_COUPLED_STRIP_H
#define OPGEN_COUPLED_STRIP_H

#include <opgen/coupled/member.h>

namespace opgen::coupled {

template <class Op>
class Strip {
 public:
  using M = Member<Op>;
  static constexpr int most = 8;

  Strip(std::vector<int64_t> sizes, int) : sizes_(std::move(sizes)) {}
  const System<Op>& held() { return at(0).system; }
  M& at(size_t number) {
    while (members_.size() <= number) members_.push_back(std::make_unique<M>(sizes_));
    return *members_[number];
  }
  int64_t products = 0;  // that were made for Krylov spaces

  // The sums of products in double precision, those that depend on the unknowns or the others, and the sizes of their terms.
  void add_up(const SharedMatrices<Op>& matrices, const std::vector<M*>& members, bool moving) {
    if (members.empty()) return;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        if (N::active_formula != moving) return;
        const int64_t rows = matrices.template rows<N>(), columns = matrices.template columns<N>();
        Pointers<double> p(members.size());
        Pointers<float> of_size(members.size());
        moduli_.resize(static_cast<size_t>(rows + columns) * members.size());
        float* free = moduli_.data();
        for (size_t s = 0; s < members.size(); ++s) {
          System<Op>& system = members[s]->system;
          p.v[s] = system.value.view[N::read[N::product.vector].array].data, p.c[s] = system.value.view[N::target].data;
          for (int64_t i = 0; i < columns; ++i) free[i] = static_cast<float>(std::fabs(p.v[s][i]));
          of_size.v[s] = free, of_size.c[s] = free + columns;
          free += rows + columns;
        }
        matrices.template multiply<N, double>(p.count(), p.v.data(), p.c.data());
        matrices.template multiply_moduli<N>(p.count(), of_size.v.data(), of_size.c.data());
        for (size_t s = 0; s < members.size(); ++s) {
          double* const to = members[s]->system.size.view[N::target].data;
          for (int64_t i = 0; i < rows; ++i) to[i] = of_size.c[s][i];
        }
      }
    });
  }

  // Adds what the cotangents of sums send to inputs that were multiplied.
  void pull_products(const SharedMatrices<Op>& matrices, const std::vector<M*>& members) {
    if (members.empty()) return;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>() && !N::active_formula) {
        constexpr int vector = N::read[N::product.vector].array;
        if (!members[0]->bar.view[vector].data) return;
        Pointers<double> p(members.size());
        for (size_t s = 0; s < members.size(); ++s) p.v[s] = members[s]->bar.view[N::target].data, p.c[s] = members[s]->bar.view[vector].data;
        matrices.template add_transposed<N, double>(p.count(), p.v.data(), p.c.data());
      }
    });
  }

  // Takes the Krylov spaces of members on to F_y x = r, or F_y^T x = r, until they have what their tolerance asks for.
  struct Task {
    M* member;
    KrylovSpace* space;
    double tol;
  };
  void iterate(const SharedMatrices<Op>& matrices, std::vector<Task> open, bool transposed) {
    while (!open.empty()) {
      products += static_cast<int64_t>(open.size());
      if (transposed) {
        for (const Task& t : open) t.member->multiply_transposed(t.space->last(), t.space->sums(), t.space->next());
        add_transposed<float>(matrices, open.size(), [&](size_t s) { return Ends<float>{open[s].space->sums(), open[s].space->next()}; });
      } else {
        each_product([&](auto nest) {
          using N = decltype(nest);
          Pointers<float> p(open.size());
          for (size_t s = 0; s < open.size(); ++s) {
            p.v[s] = open[s].space->last() + open[s].member->template vector_at<N>();
            p.c[s] = open[s].space->sums() + open[s].member->template sum_at<N>();
          }
          matrices.template multiply<N, float>(p.count(), p.v.data(), p.c.data());
        });
        for (const Task& t : open) t.member->multiply(t.space->last(), t.space->sums(), t.space->next());
      }
      size_t kept = 0;
      for (const Task& t : open) {
        if (t.space->extend(t.tol)) open[kept++] = t;
      }
      open.resize(kept);
    }
  }

  // What the cotangents of sums, ends(s).sums, send to the unknowns, added to ends(s).unknowns.
  template <class T>
  struct Ends {
    const T* sums;
    T* unknowns;
  };
  template <class T, class Of>
  void add_transposed(const SharedMatrices<Op>& matrices, size_t count, Of&& ends) {
    each_product([&](auto nest) {
      using N = decltype(nest);
      Pointers<T> p(count);
      for (size_t s = 0; s < count; ++s) {
        const Ends<T> own = ends(s);
        p.v[s] = own.sums + at(0).template sum_at<N>(), p.c[s] = own.unknowns + at(0).template vector_at<N>();
      }
      matrices.template add_transposed<N, T>(p.count(), p.v.data(), p.c.data());
    });
  }

 private:
  template <class T>
  struct Pointers {
    explicit Pointers(size_t count) : v(count), c(count) {}
    int64_t count() const { return static_cast<int64_t>(v.size()); }
    std::vector<const T*> v;
    std::vector<T*> c;
  };
  template <class Body>
  static void each_product(Body&& body) {
    Op::Nests::each([&](auto nest) {
      if constexpr (moves<decltype(nest)>()) body(nest);
    });
  }

  std::vector<int64_t> sizes_;
  std::vector<std::unique_ptr<M>> members_;
  std::vector<float> moduli_;
};

}  // namespace opgen::coupled
#endif
