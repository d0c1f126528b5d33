"""The code fingerprint changes exactly when what a job executes changes."""

import ast
from pathlib import Path

import pytest

from brownid.configuration import fingerprint as module
from brownid.configuration.definitions import ALL, ON_IMPORT, Library, _parsed
from brownid.configuration.fingerprint import (
    DYNAMIC,
    NONE,
    OPTIONAL,
    TABLES,
    UNTRACKED,
    families_of,
    fingerprint,
    reached_definitions,
)

PROJECT = Path(__file__).parents[3]
SCRIPTS = PROJECT / "workflow" / "scripts"
EVERY_SCRIPT = sorted(path.stem for path in SCRIPTS.glob("*.py"))

FILES = {
    "job.py": '"""A job."""\nfrom brownid.room import used\nused()\n',
    "env.yaml": "dependencies:\n  - python =3.11\n",
    "brownid/__init__.py": '"""Package."""\n',
    "brownid/room/__init__.py": "from brownid.room.first import used\nfrom brownid.room.second import other\n",
    "brownid/room/first.py": (
        "from brownid.deep import value\nUNUSED = 1\n\n\n"
        "def used(count: int = 1) -> int:\n    return _helped(value)\n\n\n"
        "def _helped(value):\n    return value\n"
    ),
    "brownid/room/second.py": "def other():\n    return 2\n",
    "brownid/deep.py": "value = 1\n",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def of(tree, edits=None, families=None, kept=None):
    for name, text in (edits or {}).items():
        (tree / name).write_text(text)
    module._library.cache_clear()
    module._fingerprint.cache_clear()
    module._sources.cache_clear()
    return fingerprint(tree / "job.py", tree / "env.yaml", tree, families, kept)


def names(tree, families=None):
    of(tree)
    reached = reached_definitions(tree / "job.py", tree, families)
    return {f"{d.module}.{d.name}" for d in reached if d.module != "job"}


def test_a_name_from_a_room_leads_to_its_definition_and_what_that_uses(tree):
    assert names(tree) == {"brownid.room.first.used", "brownid.room.first._helped", "brownid.deep.value"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("job.py", "used()\n", "used()\nused()\n"),
        ("brownid/deep.py", "value = 1", "value = 2"),
        ("brownid/deep.py", "value = 1", "value = 1\nvalue += 1"),
        ("brownid/deep.py", "value = 1", "value = []\nvalue.append(1)"),
        ("brownid/deep.py", "value = 1", "value = {}\nvalue['a'] = 1"),
        ("brownid/deep.py", "value = 1", "value = 1\nimport numpy\nnumpy.seterr(all='raise')"),
        ("brownid/deep.py", "value = 1", "try:\n    from numpy import pi as value\nexcept ImportError:\n    value = 1"),
        ("brownid/room/first.py", "return value\n", "return 2 * value\n"),
        ("brownid/room/first.py", "count: int = 1", "count: int = 2"),
        ("brownid/room/first.py", "def used", "@staticmethod\ndef used"),
        ("brownid/room/first.py", "from brownid.deep import value", "from brownid.room.second import other as value"),
    ],
)
def test_an_edit_of_what_the_job_executes_changes_it(tree, file, old, new):
    assert old in FILES[file]
    before = of(tree)
    assert of(tree, {file: FILES[file].replace(old, new)}) != before
    assert of(tree, {file: FILES[file]}) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("job.py", '"""A job."""\n', '"""New words."""\n\n# why\n\n'),
        ("brownid/room/second.py", "return 2", "return 3"),
        ("brownid/room/first.py", "UNUSED = 1", "UNUSED = 2\nMORE = 3"),
        ("brownid/room/first.py", "def used(count: int = 1) -> int:", "def used(\n    count: 'float' = 1,\n):"),
        ("brownid/room/first.py", "return value", '"""Words."""\n    return (value)  # why'),
        ("brownid/room/__init__.py", "import other", "import other as another"),
        ("env.yaml", "dependencies:", "# pinned\ndependencies:"),
    ],
)
def test_an_edit_of_anything_else_does_not_change_it(tree, file, old, new):
    assert old in FILES[file]
    assert of(tree) == of(tree, {file: FILES[file].replace(old, new)})


def test_moving_a_definition_to_another_file_does_not_change_it(tree):
    first = FILES["brownid/room/first.py"]
    helped = first[first.index("def _helped") :]
    edits = {
        "brownid/elsewhere.py": helped,
        "brownid/room/first.py": "from brownid.elsewhere import _helped\n" + first.replace(helped, ""),
    }
    assert of(tree) == of(tree, edits)


def test_moving_a_definition_that_does_not_count_to_another_file_does_not_change_it(tree, monkeypatch):
    monkeypatch.setattr(module, "UNTRACKED", {"brownid.deep", "brownid.deeper"})
    first = FILES["brownid/room/first.py"]
    edits = {
        "brownid/deeper.py": FILES["brownid/deep.py"],
        "brownid/room/first.py": first.replace("from brownid.deep ", "from brownid.deeper "),
    }
    assert of(tree) == of(tree, edits)


def test_definitions_of_one_name_in_two_files_are_told_apart(tree):
    edits = {
        "brownid/room/second.py": "def _helped(value):\n    return -value\n\n\ndef other():\n    return _helped(2)\n",
        "job.py": "from brownid.room import other, used\nused(), other()\n",
    }
    before = of(tree, edits)
    swapped = {
        "brownid/room/second.py": edits["brownid/room/second.py"].replace("-value", "value"),
        "brownid/room/first.py": FILES["brownid/room/first.py"].replace("return value", "return -value"),
    }
    assert of(tree, swapped) != before


def test_packages_of_the_environment_change_it(tree):
    assert of(tree) != of(tree, {"env.yaml": "dependencies:\n  - python =3.12\n"})


@pytest.mark.parametrize(
    "job",
    [
        "import brownid.room.second as second\nsecond.other()\n",
        "from brownid.room import second\nsecond.other()\n",
        "import brownid.room.second\nbrownid.room.second.other()\n",
        'start("brownid.room.second:other")\n',
        "def run():\n    from brownid.room.second import other\n\n    return other()\n\n\n"
        "if __name__ == '__main__':\n    run()\n",
    ],
)
def test_a_definition_is_reached_through_modules_strings_and_imports_inside_functions(tree, job):
    (tree / "job.py").write_text(job)
    assert names(tree) == {"brownid.room.second.other"}


def test_a_module_that_is_passed_on_as_an_object_is_reached_whole(tree):
    (tree / "job.py").write_text("from brownid.room import first\nsave(first)\n")
    assert {"brownid.room.first.UNUSED", "brownid.room.first.used", "brownid.deep.value"} < names(tree)


def test_of_a_table_only_the_families_that_the_job_uses_are_reached(tree, monkeypatch):
    (tree / "brownid/deep.py").write_text("def a(): pass\n\n\ndef b(): pass\n\n\nvalue = {'a': a, 'b': b}\n")
    monkeypatch.setattr(
        module, "_library", module.cache(lambda folder: Library(folder, (), {("brownid.deep", "value")}, NONE))
    )
    assert "brownid.deep.b" not in names(tree, {"a"})
    assert {"brownid.deep.a", "brownid.deep.b"} < names(tree)
    assert {"brownid.deep.a", "brownid.deep.b"} < names(tree, {"c"}), "a table without any of the names counts whole"
    assert not {"brownid.deep.a", "brownid.deep.b"} & names(tree, {"c", NONE}), "unless the job says that it uses none"
    before = of(tree, families={"a"})
    assert of(tree, {"brownid/deep.py": "def a(): pass\n\n\nvalue = {'a': a}\n"}, {"a"}) == before


def test_of_an_optional_table_only_what_the_job_names_is_reached(tree, monkeypatch):
    (tree / "brownid/deep.py").write_text("def a(): pass\n\n\ndef b(): pass\n\n\nvalue = {'a': a, 'b': b}\n")
    tables = {("brownid.deep", "value")}
    monkeypatch.setattr(module, "_library", module.cache(lambda folder: Library(folder, (), tables, NONE, tables)))
    assert {"brownid.deep.a", "brownid.deep.b"} & names(tree, {"a", "c"}) == {"brownid.deep.a"}
    assert not {"brownid.deep.a", "brownid.deep.b"} & names(tree, {"c"})


def test_families_and_algorithms_are_found_at_any_depth_of_the_settings():
    settings = {"generator": {"family": "stylegan2"}, "references": [{"x": {"algorithm": "langevin"}}], "seed": 1}
    assert families_of(settings) == {"stylegan2", "langevin"}
    assert families_of({"network": {"factory": "mine:network"}}) == {"mine:network"}
    assert families_of({"alignment": None}) == families_of({"alignment": {"detector": None}}) == {NONE}
    assert families_of({"alignment": {"detector": {"family": "yunet"}}}) == {"yunet"}
    assert families_of({"references": {"nuisance_projection": {"directions": 3}}}) == {"nuisance_projection"}
    assert families_of({"seed": 1}) is None


# ---- the library itself ----------------------------------------------------------------------------------------------


def test_modules_are_imported_by_name_only_where_the_list_says_so():
    library = module._library(SCRIPTS)
    reached = {d for script in EVERY_SCRIPT for d in reached_definitions(SCRIPTS / f"{script}.py", SCRIPTS)}
    found = set()
    for definition in reached:
        if definition.name not in (ALL, ON_IMPORT):
            for statement in library.module(definition.module).bindings[definition.name]:
                calls = {ast.unparse(node.func) for node in ast.walk(statement.tree) if isinstance(node, ast.Call)}
                if calls & {"importlib.import_module", "import_module", "__import__", "exec", "eval", "globals"}:
                    found.add(definition)
    assert found == DYNAMIC.keys()


def test_every_table_is_a_dictionary_that_is_written_out():
    for definition in TABLES:
        statement = module._library(SCRIPTS).module(definition.module).bindings[definition.name][0].tree
        keys = next(node for node in ast.walk(statement) if isinstance(node, ast.Dict)).keys
        assert keys and all(isinstance(key, ast.Constant) for key in keys)


class Edited(Library):
    """The project's library with other texts in some files; what is not edited is parsed once for all tests."""

    shared = Library(SCRIPTS, UNTRACKED, TABLES, NONE, OPTIONAL)

    def __init__(self, texts):
        super().__init__(SCRIPTS, UNTRACKED, TABLES, NONE, OPTIONAL)
        self.texts = {SCRIPTS / file: text for file, text in texts.items()}
        edited = {file.removesuffix(".py").replace("/", ".") for file in texts}
        self._modules = {name: module for name, module in self.shared._modules.items() if name not in edited}
        if len(edited) == 1:  # else a definition may have moved, and with it where names lead
            self._parts = {to: part for to, part in self.shared._parts.items() if to.module not in edited}

    def _parse(self, path):
        return _parsed(self.texts.get(path) or path.read_text(encoding="utf-8"), path)


def changed(texts, families):
    """The scripts whose fingerprints differ once these files of the library have these texts."""
    environment = PROJECT / "envs/torch.yaml"
    edited = Edited(texts)
    return {
        script
        for script in EVERY_SCRIPT
        if module._fingerprint(SCRIPTS / f"{script}.py", environment, edited, families)
        != module._fingerprint(SCRIPTS / f"{script}.py", environment, Edited.shared, families)
    }


# What runs name in their settings: one of the embedded world, one of a StyleGAN2 file, one of photographs with ONNX.
WORLD = frozenset({"procedural", "slim", "langevin", "reject", "hyperface", "disco", "covariates", NONE})
STYLEGAN2 = frozenset({"stylegan2", "insightface", "langevin", "disco", "yunet"})
PHOTOGRAPHS = frozenset({"procedural", "onnx", "mtcnn", "random"})
LOADING = {"embed_faces", "fit_warm_start", "invert_embeddings", "measure_controls", "project_database"} | {
    *("render_images", "sample_references", "show_within_class", "vary_references")
}  # every script that loads a configured generator
WORLDS = LOADING | {"capture_benchmark", "capture_database"}  # and those that render the embedded world
NETWORKS = LOADING - {"capture_benchmark", "capture_database", "render_images", "show_within_class"} | {
    *("embed_dataset", "measure_packing", "score_model")
}  # every script that loads an FR network
ALIGNING = {"align_database", "prepare_benchmark", "project_database"}
FIGURES = {
    "plot_dynamics",
    "plot_distances",
    "tabulate_scores",
    "compare_scores",
    "measure_packing",
    "tabulate_quality",
    "show_within_class",
}

# file of the library, what stands there, what replaces it, and the scripts whose jobs then run again
EDITS = [
    ("generators/stylegan3/resampling.py", "0.07886", "0.07887", WORLD, set()),
    ("generators/stylegan3/resampling.py", "0.07886", "0.07887", STYLEGAN2, set()),
    ("generators/diffusion/text_encoder.py", "photo of a id person", "photo of an id person", WORLD, set()),
    ("generators/diffusion/text_encoder.py", "photo of a id person", "photo of an id person", STYLEGAN2, set()),
    ("generators/stylegan2/activation.py", "math.sqrt(2)", "math.sqrt(3)", WORLD, set()),
    ("generators/stylegan2/activation.py", "math.sqrt(2)", "math.sqrt(3)", STYLEGAN2, LOADING),
    ("world/primitives.py", "0.", "1.", WORLD, WORLDS),
    ("facemodel/loading.py", '"ldm": (', '"mine": ldm,\n    "ldm": (', WORLD, set()),
    ("dynamics/langevin.py", "timestep.sqrt() * noise", "timestep * noise", WORLD, {"sample_references"}),
    ("dynamics/baselines.py", "steps=0", "steps=1", WORLD, {"sample_references"}),
    ("dynamics/dispersion.py", "settings.initial_noise *", "2 * settings.initial_noise *", WORLD, {"vary_references"}),
    ("dynamics/settings.py", "Coefficient k_l", "Strength k_l", WORLD, set()),
    ("dynamics/settings.py", "maximum=math.pi", "maximum=3", WORLD, set()),
    ("dynamics/settings.py", "setting(100,", "setting(99,", WORLD, {"sample_references"}),
    ("hyperface/energy.py", "gradient.zero_()", "gradient.fill_(1)", WORLD, {"pack_references"}),
    ("covariates/directions.py", "10000", "20000", WORLD, {"fit_covariates"}),
    ("covariates/within_class.py", "1e-10", "1e-9", WORLD, {"fit_within_class"}),
    ("recognition/onnx.py", "2**28", "2**27", WORLD, set()),
    ("recognition/onnx.py", "2**28", "2**27", STYLEGAN2, set()),
    ("recognition/onnx.py", "2**28", "2**27", PHOTOGRAPHS, NETWORKS),
    ("recognition/pixel_ranges.py", "return ", "return not ", WORLD, set()),
    ("recognition/backbones.py", "Dropout(0.4)", "Dropout(0.5)", WORLD, set()),
    ("recognition/backbones.py", "0.25", "0.26", WORLD, NETWORKS | {"train_recognition"}),
    ("alignment/mtcnn.py", "0.709", "0.71", WORLD, set()),
    ("alignment/mtcnn.py", "0.709", "0.71", STYLEGAN2, set()),
    ("alignment/mtcnn.py", "0.709", "0.71", PHOTOGRAPHS, ALIGNING),
    ("training/augmentation.py", "0.5", "0.6", WORLD, {"train_recognition"}),
    (
        "verification/accuracy.py",
        "0, 4, 0.01",
        "0, 4, 0.02",
        WORLD,
        {"score_model", "tabulate_scores", "compare_scores"},
    ),
    ("verification/uncertainty.py", "- 2 * of_imp", "- 3 * of_imp", WORLD, {"tabulate_scores", "compare_scores"}),
    ("figures/style.py", '"font.size": 9', '"font.size": 10', WORLD, FIGURES),
    ("figures/faces.py", "9", "10", WORLD, {"show_faces", "audit_leaks", "package_release"}),
    ("release/card.py", '"""The', '"""THE', WORLD, set()),
    ("release/card.py", "## ", "### ", WORLD, {"package_release"}),
    ("runtime/errors.py", "return ", "return not ", WORLD, set()),
    ("runtime/process.py", "logger", "loggers", WORLD, set()),
    ("cli/crops.py", "return ", "return not ", WORLD, set()),
    ("planning/resources.py", "return ", "return not ", WORLD, set()),
    ("planning/estimate.py", "return ", "return not ", WORLD, set()),
]


@pytest.mark.parametrize(
    ("file", "old", "new", "families", "scripts"),
    EDITS,
    ids=[f"{number}-{file}" for number, (file, *_) in enumerate(EDITS)],
)
def test_an_edit_of_the_library_concerns_exactly_these_scripts(file, old, new, families, scripts):
    text = (SCRIPTS / "brownid" / file).read_text()
    assert old in text, f"{file} no longer has {old!r}: edit something else of the same kind"
    assert changed({f"brownid/{file}": text.replace(old, new)}, families) == scripts


# script, what stands there, what replaces it, families, and whether its job then runs again
SCRIPT_EDITS = [
    ("sample_references", "return _accepted(sampling, reject_references, settings)", "return None", {"reject"}, True),
    (
        "sample_references",
        "return _accepted(sampling, reject_references, settings)",
        "return None",
        {"langevin"},
        False,
    ),
    ("sample_references", "found.leading(", "-found.leading(", {"langevin", "nuisance_projection"}, True),
    ("sample_references", "found.leading(", "-found.leading(", {"langevin"}, False),
    ("vary_references", "return inverted_variations(", "return not inverted_variations(", {"hyperface"}, True),
    ("vary_references", "return inverted_variations(", "return not inverted_variations(", {"disco"}, False),
    ("vary_references", "fitted.root(", "2 * fitted.root(", {"within_class"}, True),
    ("vary_references", "fitted.root(", "2 * fitted.root(", {"disco"}, False),
    ("show_faces", "SHOWN_ROWS = 8", "SHOWN_ROWS = 9", WORLD, True),
    ("show_faces", "SHOWN_ROWS = 8", "UNUSED = 1\n\nSHOWN_ROWS = 8", WORLD, False),
    ("align_database", "detector=", "detector=None and ", WORLD, True),
    ("align_database", '"""Write the images', '"""Writes the images', WORLD, False),
]


@pytest.mark.parametrize(("script", "old", "new", "families", "again"), SCRIPT_EDITS)
def test_an_edit_of_a_script_concerns_its_own_jobs_where_they_execute_it(script, old, new, families, again):
    text = (SCRIPTS / f"{script}.py").read_text()
    assert old in text
    edited = changed({f"{script}.py": text.replace(old, new)}, frozenset(families))
    assert edited == ({script} if again else set())


def test_moving_a_definition_of_the_library_concerns_no_script():
    source, target = "brownid/verification/accuracy.py", "brownid/verification/score.py"
    text, other = (SCRIPTS / source).read_text(), (SCRIPTS / target).read_text()
    start = text.index("\ndef _correct(")
    moved = text[start : text.index("\n\n\n", start) + 1]
    texts = {
        source: text.replace(moved, "").replace(
            "import numpy as np\n", "import numpy as np\nfrom brownid.verification.score import _correct\n"
        ),
        target: other + "\n\nfrom brownid.verification.accuracy import THRESHOLDS\n" + moved,
    }
    assert changed(texts, WORLD) == set()
    assert changed({**texts, target: texts[target].replace('side="left"', 'side="right"')}, WORLD) >= {"score_model"}


CHANGED_FILES = {
    "job.py": FILES["job.py"] + "used()\n",
    "env.yaml": "dependencies:\n  - python =3.12\n",
    "brownid/deep.py": "value = 2\n",
}


@pytest.mark.parametrize("edited", CHANGED_FILES)
def test_a_kept_fingerprint_serves_until_a_file_changes(tree, tmp_path_factory, monkeypatch, edited):
    kept = tmp_path_factory.mktemp("kept")
    before = of(tree, kept=kept)
    computed = []
    monkeypatch.setattr(module, "_computed", lambda *a, compute=module._computed: computed.append(a) or compute(*a))
    assert of(tree, kept=kept) == before and not computed
    assert of(tree, {edited: CHANGED_FILES[edited]}, kept=kept) == of(tree) != before
    assert of(tree, {edited: FILES[edited]}, kept=kept) == before and len(computed) == 2
    assert of(tree, families={"a"}, kept=kept) == before and len(computed) == 3  # of other families: not the kept one


@pytest.mark.parametrize("content", [b"", b"\xff", b"0123456789abcdeg", b"0123456789abcdef0"])
def test_a_damaged_fingerprint_is_computed_again(tree, tmp_path_factory, content):
    kept = tmp_path_factory.mktemp("kept")
    before = of(tree, kept=kept)
    (file,) = kept.iterdir()
    file.write_bytes(content)
    assert of(tree, kept=kept) == before == file.read_text()


def test_a_place_that_cannot_be_written_costs_time_only(tree):
    assert of(tree, kept=tree / "job.py" / "kept") == of(tree)
