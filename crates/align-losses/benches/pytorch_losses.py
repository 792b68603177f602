"""The formulas of benches/losses in PyTorch, as one would write them: with PyTorch's own log-sigmoid, clamp and softmax.

Each entry of `LOSSES` is the name of a bench -> (variables, function of no arguments to a scalar). The inputs are the bench's:
a hash of their place (benches/losses/inputs.rs).
"""

import math

import numpy
import torch
import torch.nn.functional as F

ROWS, SEQ, VOCAB = 64, 128, 512
BETA = 0.1


def uniform(stream, shape, low, high):
    x = numpy.arange(math.prod(shape), dtype=numpy.uint32) + numpy.uint32(stream * 0x9E3779B9 % 2**32)
    x ^= x >> 16
    x *= numpy.uint32(0x85EBCA6B)
    x ^= x >> 13
    x *= numpy.uint32(0xC2B2AE35)
    x ^= x >> 16
    return torch.from_numpy((low + (high - low) * (x / 2.0**32)).astype(numpy.float32)).reshape(shape)


def variable(*args):
    return uniform(*args).requires_grad_()


def pairs():
    n = (ROWS,)
    w, l = variable(0, n, -60, -20), variable(1, n, -60, -20)
    ref_w, ref_l = w.detach() + uniform(2, n, -5, 5), l.detach() + uniform(3, n, -5, 5)
    len_w, len_l = uniform(4, n, 10, 40).floor(), uniform(5, n, 10, 40).floor()
    log_sigmoid = F.logsigmoid

    def smoothed(z, eps):
        return -(1 - eps) * log_sigmoid(z) - eps * log_sigmoid(-z)

    def a():
        return w - ref_w

    def b():
        return l - ref_l

    def h():
        return a() - b()

    def per_token():
        return a() / len_w - b() / len_l

    def margins():
        return w / len_w - l / len_l

    def under(f):
        return -log_sigmoid(BETA * (f(a()) - f(b())))

    def exo(eps=0.001):
        z = BETA * h()
        return torch.sigmoid(z) * (log_sigmoid(z) - math.log1p(-eps)) + torch.sigmoid(-z) * (log_sigmoid(-z) - math.log(eps))

    def robust(eps=0.1):
        z = BETA * h()
        return (-(1 - eps) * log_sigmoid(z) + eps * log_sigmoid(-z)) / (1 - 2 * eps)

    def aot(eps):
        return smoothed(BETA * ((w - l).sort().values - (ref_w - ref_l).sort().values), eps)

    def aot_unpaired(eps):
        return smoothed(BETA * (a().sort().values - b().sort().values), eps)

    def discopop(tau=0.05):
        z = BETA * h()
        m = torch.sigmoid(z / tau)
        return -log_sigmoid(z) * (1 - m) + torch.exp(-z) * m

    def mixture():
        ratio_w, ratio_l = a(), b()
        dpo = -log_sigmoid(BETA * (ratio_w - ratio_l))
        bco = -log_sigmoid(BETA * ratio_w) - log_sigmoid(-BETA * ratio_l)
        return 0.8 * dpo + 0.2 * bco - w / len_w

    def alphapo(alpha=0.25):
        reward_w, reward_l = (1 - torch.exp(-alpha * w / len_w)) / alpha, (1 - torch.exp(-alpha * l / len_l)) / alpha
        return -log_sigmoid(2 * (reward_w - reward_l) - 0.5)

    def odds_ratio():
        p_w, p_l = w / len_w, l / len_l
        return -BETA * log_sigmoid((p_w - p_l) - (torch.log1p(-torch.exp(p_w)) - torch.log1p(-torch.exp(p_l))))

    def nca():
        r_w, r_l = BETA * a(), BETA * b()
        return -log_sigmoid(r_w) - 0.5 * log_sigmoid(-r_w) - 0.5 * log_sigmoid(-r_l)

    losses = dict(
        dpo=lambda: -log_sigmoid(BETA * h()),
        cdpo=lambda: smoothed(BETA * h(), 0.1),
        robust_dpo=robust,
        hinge=lambda: torch.relu(1 - BETA * h()),
        ipo=lambda: (h() - 1 / (2 * BETA)) ** 2,
        ipo_length_normalized=lambda: (per_token() - 1 / (2 * BETA)) ** 2,
        dpo_length_normalized=lambda: -log_sigmoid(BETA * per_token()),
        exo_pair=exo,
        nca_pair=nca,
        bco_pair=lambda: -log_sigmoid(BETA * a()) - log_sigmoid(-BETA * b()),
        sppo_hard=lambda: (a() - 0.5 / BETA) ** 2 + (b() + 0.5 / BETA) ** 2,
        aot=lambda: aot(0.0),
        aot_unpaired=lambda: aot_unpaired(0.0),
        apo_zero=lambda: (1 - torch.sigmoid(BETA * a())) + torch.sigmoid(BETA * b()),
        apo_down=lambda: torch.sigmoid(BETA * a()) + (1 - torch.sigmoid(BETA * h())),
        discopop=discopop,
        dpop=lambda: -log_sigmoid(BETA * (h() - 50 * torch.relu(-a()))),
        rdpo=lambda: -log_sigmoid(BETA * h() + 0.02 * (len_w - len_l)),
        chosen_nll=lambda: -w / len_w,
        dpo_forward_kl=lambda: under(lambda x: 1 - torch.exp(-x)),
        dpo_jensen_shannon=lambda: under(lambda x: math.log(2) + log_sigmoid(x)),
        dpo_alpha=lambda: under(lambda x: (torch.exp((-0.5 * x).clamp(max=80)) - 1) / -0.5),
        mixture=mixture,
        cpo=lambda: -log_sigmoid(BETA * (w - l)),
        cpo_hinge=lambda: torch.relu(1 - BETA * (w - l)),
        cpo_ipo=lambda: (margins() - 1 / (2 * BETA)) ** 2,
        simpo=lambda: -log_sigmoid(2 * margins() - 0.5),
        tpo_l=lambda: -log_sigmoid(2 * margins() - 0.5),
        alphapo=alphapo,
        slic=lambda: torch.relu(1 - (w - l)) - 0.1 * w,
        orpo_odds_ratio=odds_ratio,
        aot_smoothed=lambda: aot(0.1),
        aot_unpaired_smoothed=lambda: aot_unpaired(0.1),
        cpo_smoothed=lambda: smoothed(BETA * (w - l), 0.1),
        simpo_smoothed=lambda: smoothed(2 * margins() - 0.5, 0.1),
        cdpo_with_margin=lambda: smoothed(BETA * h() - 0.5, 0.1),
    )
    return {f"pairs/{name}": ([w, l], loss) for name, loss in losses.items()}


def singles():
    n = (ROWS,)
    log_probs = variable(0, n, -60, -20)
    reference = log_probs.detach() + uniform(2, n, -5, 5)
    desirable = uniform(6, n, 0, 1) < 0.5
    mismatched = uniform(7, n, -60, -20)
    mismatched_reference = mismatched - uniform(8, n, -1, 3)

    def kto(weight):
        ratios = log_probs - reference
        kl = (mismatched - mismatched_reference).mean().clamp(min=0) if weight else 0.0
        of_desirable, of_others = 1 - torch.sigmoid(BETA * (ratios - kl)), 1 - torch.sigmoid(BETA * (kl - ratios))
        return torch.where(desirable, of_desirable, of_others * weight if weight else of_others)

    def bco(delta=0.05):
        rewards = BETA * (log_probs - reference) - delta
        return -F.logsigmoid(torch.where(desirable, rewards, -rewards))

    unpaired = dict(kto=lambda: kto(1.33), apo_zero_unpaired=lambda: kto(None), bco=bco)
    better, worse, margin = variable(10, n, -3, 3), variable(11, n, -3, 3), uniform(12, n, 0, 1)
    scores = variable(13, (ROWS, 4), -3, 3)
    places = torch.triu_indices(4, 4, 1)
    reward = dict(
        bradley_terry=lambda: -F.logsigmoid(better - worse),
        bradley_terry_with_margin=lambda: -F.logsigmoid(better - worse - margin),
        centered_bradley_terry=lambda: -F.logsigmoid(better - worse) + 0.01 * (better + worse) ** 2,
        reward_regression=lambda: (better - margin) ** 2,
    )
    ranked = dict(
        plackett_luce=lambda: -(scores - scores.flip(1).logcumsumexp(1).flip(1)).sum(1),
        pairwise_ranking=lambda: -F.logsigmoid(scores[:, places[0]] - scores[:, places[1]]).mean(1),
    )
    return (
        {f"unpaired/{name}": ([log_probs], loss) for name, loss in unpaired.items()}
        | {f"reward/{name}": ([better, worse], loss) for name, loss in reward.items()}
        | {f"reward/{name}": ([scores], loss) for name, loss in ranked.items()}
    )


def padding():
    lengths = uniform(20, (ROWS,), SEQ / 2, SEQ + 1).floor()
    return torch.arange(SEQ) < lengths[:, None]


def tokens():
    shape = (ROWS, SEQ)
    lp, mask, advantages = variable(21, shape, -3, 0), padding().float(), uniform(24, (ROWS,), -2, 2)
    old, ref = lp.detach() + uniform(22, shape, -0.3, 0.3), lp.detach() + uniform(23, shape, -0.5, 0.5)
    log_sum_sq = uniform(25, shape, -3, 0)
    lengths, count = mask.sum(1), mask.sum()
    spread = advantages[:, None].expand(shape)
    half = ROWS // 2

    def token_mean(x):
        return (x * mask).sum() / count

    def sequence_mean(x):
        return ((x * mask).sum(1) / lengths).mean()

    def clipped(ratio, adv, low=0.2, high=0.2):
        return -torch.min(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv)

    def ratio():
        return torch.exp(lp - old)

    def sequence_ratio():
        return torch.exp(((lp - old) * mask).sum(1) / lengths)

    def pairwise(sums):
        of_ref = (ref * mask).sum(1)
        return -F.logsigmoid(0.1 * ((sums[:half] - of_ref[:half]) - (sums[half:] - of_ref[half:])))

    def ld(alpha=0.5):
        shared = torch.minimum(lengths[:half], lengths[half:]).repeat(2)
        weights = torch.where(torch.arange(SEQ) < shared[:, None], 1.0, alpha)
        return pairwise((lp * mask * weights).sum(1))

    def wpo():
        with torch.no_grad():
            weights = (((lp - log_sum_sq) * mask).sum(1) / lengths).exp()
        return pairwise((lp * mask).sum(1)) * weights[:half] * weights[half:]

    def dual_clip():
        loss = clipped(ratio(), spread)
        return token_mean(torch.where(spread < 0, torch.min(loss, -3.0 * spread), loss))

    def two_sided():
        rho = ratio()
        return sequence_mean(-torch.min(rho.clamp(max=4.0) * spread, rho.clamp(0.8, 1.2) * spread))

    def values():
        held = torch.clamp(lp, old - 0.2, old + 0.2)
        return token_mean(0.5 * torch.max((lp - ref) ** 2, (held - ref) ** 2))

    def gspo_token():
        mean = (((lp - old) * mask).sum(1) / lengths).detach()[:, None]
        return sequence_mean(clipped(torch.exp(lp - lp.detach() + mean), spread))

    def sapo():
        temperature = torch.where(spread > 0, 1.0, 1.05)
        return sequence_mean(-spread * torch.sigmoid(temperature * (ratio() - 1)) * 4 / temperature)

    def vespo():
        with torch.no_grad():
            log_w = ((lp - old).clamp(-20, 20) * mask).sum(1).clamp(math.log(1e-8), 20)
            k, lam = torch.where(advantages >= 0, 2.0, 3.0), torch.where(advantages >= 0, 3.0, 2.0)
            phi = torch.exp(k * log_w + lam * (1 - log_w.exp()))
        return token_mean(-(phi * advantages)[:, None] * lp)

    def gmpo():
        log_ratio = lp - old
        clip = torch.where(spread > 0, log_ratio.clamp(max=0.4), log_ratio.clamp(min=-0.4))
        return -(torch.exp((clip * mask).sum(1) / lengths) * advantages).mean()

    def k3():
        r = ref - lp
        return torch.exp(r) - 1 - r

    losses = dict(
        nll=lambda: token_mean(-lp),
        dft=lambda: token_mean(-lp.detach().exp() * lp),
        dpo=lambda: pairwise((lp * mask).sum(1)).mean(),
        ld_dpo=lambda: ld().mean(),
        wpo_dpo=lambda: wpo().mean(),
        ppo_clip=lambda: token_mean(clipped(ratio(), spread)),
        clipped_value_loss=values,
        dual_clip=dual_clip,
        grpo=lambda: sequence_mean(clipped(ratio(), spread)),
        grpo_k3=lambda: sequence_mean(clipped(ratio(), spread) + 0.04 * k3()),
        dapo=lambda: token_mean(clipped(ratio(), spread, high=0.28)),
        dr_grpo=lambda: (clipped(ratio(), spread) * mask).sum() / (ROWS * SEQ),
        two_sided=two_sided,
        gspo=lambda: clipped(sequence_ratio(), advantages).mean(),
        gspo_token=gspo_token,
        luspo=lambda: (clipped(sequence_ratio(), advantages)[:, None] * mask).sum() / ROWS,
        cispo=lambda: token_mean(-ratio().detach().clamp(max=1.1) * spread * lp),
        sapo=sapo,
        vespo=vespo,
        gmpo=gmpo,
        rloo=lambda: clipped(torch.exp(((lp - old) * mask).sum(1)), advantages).mean(),
        reinforce=lambda: -(advantages * (lp * mask).sum(1)).mean(),
        a2po=lambda: ((0.01 * ((lp - ref) * mask).sum(1) - advantages) ** 2).mean(),
        k1=lambda: token_mean(lp - ref),
        k2=lambda: token_mean((lp - ref) ** 2 / 2),
        k3=lambda: token_mean(k3()),
        abs_kl=lambda: token_mean((lp - ref).abs()),
        bias_corrected_k3=lambda: token_mean(ratio() * k3()),
        sequence_sums=lambda: (lp * mask).sum(1).mean(),
        sequence_means=lambda: ((lp * mask).sum(1) / lengths).mean(),
        masked_mean=lambda: token_mean(lp),
        log_ratios=lambda: token_mean(lp - old),
    )
    return {f"tokens/{name}": ([lp], loss) for name, loss in losses.items()}


def logits():
    shape = (ROWS, SEQ, VOCAB)
    x, other = variable(30, shape, -4, 4), uniform(31, shape, -4, 4)
    labels, mask = uniform(32, (ROWS, SEQ), 0, VOCAB).long(), padding().float()

    def masked_mean(values):
        return (values * mask).sum() / mask.sum()

    def label_log_probs():
        return x.gather(-1, labels[..., None]).squeeze(-1) - x.logsumexp(-1)

    def entropy():
        log_p = x.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def exact_kl():
        log_p = x.log_softmax(-1)
        return (log_p.exp() * (log_p - other.log_softmax(-1))).sum(-1)

    def jsd():
        student, teacher = x.log_softmax(-1), other.log_softmax(-1)
        mixture = torch.logaddexp(student, teacher) - math.log(2)
        of = lambda p: F.kl_div(mixture, p, reduction="none", log_target=True)  # noqa: E731
        return (0.5 * of(teacher) + 0.5 * of(student)).sum(-1)

    def smoothed(eps=0.1):
        log_p = x.log_softmax(-1)
        return -(1 - eps) * log_p.gather(-1, labels[..., None]).squeeze(-1) - eps * log_p.mean(-1)

    losses = dict(
        label_log_probs=label_log_probs,
        entropy=entropy,
        log_sum_sq_probs=lambda: (2 * x.log_softmax(-1)).logsumexp(-1),
        exact_kl=exact_kl,
        generalized_jsd=jsd,
        label_smoothed_nll=smoothed,
    )
    return {f"logits/{name}": ([x], lambda loss=loss: masked_mean(loss())) for name, loss in losses.items()}


def scalar(case):
    variables, loss = case
    return variables, lambda: loss().mean()


LOSSES = {name: scalar(case) for name, case in (pairs() | singles() | tokens() | logits()).items()}
