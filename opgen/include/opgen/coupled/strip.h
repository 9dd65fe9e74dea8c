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
  int64_t weight() { return held().unknowns() * most * KrylovSpace::most; }
  M& at(size_t number) {
    while (members_.size() <= number) members_.push_back(std::make_unique<M>(sizes_));
    return *members_[number];
  }
  int64_t products = 0;  // that were made for Krylov spaces

  // The sums of products, those that depend on the unknowns or the others, in double precision or not.
  void add_up(const SharedMatrices<Op>& matrices, const std::vector<M*>& members, bool moving, bool exact) {
    each_product(moving, [&](auto nest) {
      using N = decltype(nest);
      const auto vector = [](M* m) { return m->system.value.view[N::read[N::product.vector].array].data; };
      const auto sum = [](M* m) { return m->system.value.view[N::target].data; };
      if (exact) {
        Pointers<double> p(members, vector, sum);
        matrices.template multiply<N, double>(p.count(), p.v.data(), p.c.data());
      } else {
        rounded(
            members, matrices.template columns<N>(), vector, matrices.template rows<N>(), sum,
            [&](const Pointers<float>& p) { matrices.template multiply<N, float>(p.count(), p.v.data(), p.c.data()); },
            [](double& to, float from) { to = from; });
      }
    });
  }
  // How large the terms of these sums are, by Cauchy and Schwarz.
  void measure(const SharedMatrices<Op>& matrices, const std::vector<M*>& members, bool moving) {
    each_product(moving, [&](auto nest) {
      using N = decltype(nest);
      const double* const norms = matrices.template norms<N>();
      for (M* m : members) {
        const double size = linear::norm(m->system.value.view[N::read[N::product.vector].array].data, matrices.template columns<N>(), 1);
        double* const to = m->system.size.view[N::target].data;
        for (int64_t i = 0; i < matrices.template rows<N>(); ++i) {
          const double own = norms[i] * size;
          to[i] = own + (own - own);  // of what overflows nothing is known
        }
      }
    });
  }

  // Adds what the cotangents of sums send to inputs that were multiplied.
  void pull_products(const SharedMatrices<Op>& matrices, const std::vector<M*>& members, bool exact) {
    each_product(false, [&](auto nest) {
      using N = decltype(nest);
      constexpr int array = N::read[N::product.vector].array;
      if (members.empty() || !members[0]->bar.view[array].data) return;
      const auto sum = [](M* m) { return m->bar.view[N::target].data; };
      const auto vector = [](M* m) { return m->bar.view[array].data; };
      if (exact) {
        Pointers<double> p(members, sum, vector);
        matrices.template add_transposed<N, double>(p.count(), p.v.data(), p.c.data());
      } else {
        rounded(
            members, matrices.template rows<N>(), sum, matrices.template columns<N>(), vector,
            [&](const Pointers<float>& p) { matrices.template add_transposed<N, float>(p.count(), p.v.data(), p.c.data()); },
            [](double& to, float from) { to += from; });
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
        add_transposed<float>(
            matrices, open, [](const Task& t) { return t.space->sums(); }, [](const Task& t) { return t.space->next(); });
      } else {
        each_product(true, [&](auto nest) {
          using N = decltype(nest);
          const Pointers<float> p(
              open, [](const Task& t) { return t.space->last() + t.member->template vector_at<N>(); },
              [](const Task& t) { return t.space->sums() + t.member->template sum_at<N>(); });
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

  // Adds what the cotangents sums(one) of sums send to unknowns, to unknowns(one).
  template <class T, class List, class Sums, class Unknowns>
  void add_transposed(const SharedMatrices<Op>& matrices, const List& list, Sums&& sums, Unknowns&& unknowns) {
    each_product(true, [&](auto nest) {
      using N = decltype(nest);
      const int64_t from = at(0).template sum_at<N>(), to = at(0).template vector_at<N>();
      const Pointers<T> p(
          list, [&](const auto& one) { return sums(one) + from; }, [&](const auto& one) { return unknowns(one) + to; });
      matrices.template add_transposed<N, T>(p.count(), p.v.data(), p.c.data());
    });
  }

 private:
  // The ends of products of several systems.
  template <class T>
  struct Pointers {
    Pointers() = default;
    template <class List, class From, class To>
    Pointers(const List& list, From&& from, To&& to) {
      for (const auto& one : list) v.push_back(from(one)), c.push_back(to(one));
    }
    int64_t count() const { return static_cast<int64_t>(v.size()); }
    std::vector<const T*> v;
    std::vector<T*> c;
  };
  template <class Body>
  static void each_product(bool moving, Body&& body) {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        if (N::active_formula == moving) body(nest);
      }
    });
  }

  // A product in single precision of what members hold in double.
  template <class From, class To, class Product, class Take>
  void rounded(const std::vector<M*>& members, int64_t length, From&& from, int64_t made, To&& to, Product&& product, Take&& take) {
    buffer_.assign(static_cast<size_t>(length + made) * members.size(), 0.0f);
    Pointers<float> p;
    float* free = buffer_.data();
    for (M* m : members) {
      const double* const source = from(m);
      for (int64_t i = 0; i < length; ++i) free[i] = static_cast<float>(source[i]);
      p.v.push_back(free), p.c.push_back(free + length);
      free += length + made;
    }
    product(p);
    for (size_t s = 0; s < members.size(); ++s) {
      double* const target = to(members[s]);
      for (int64_t i = 0; i < made; ++i) take(target[i], p.c[s][i]);
    }
  }

  std::vector<int64_t> sizes_;
  std::vector<std::unique_ptr<M>> members_;
  std::vector<float> buffer_;
};

}  // namespace opgen::coupled
#endif
