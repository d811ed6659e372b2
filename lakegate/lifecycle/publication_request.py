"""What a person asks for when a version is to be published."""

from dataclasses import dataclass

from lakegate.catalog import check_version_name, declaration_path, load_dataset, parse_dataset
from lakegate.declarations import DatasetDeclaration
from lakegate.lifecycle.sources import check_address
from lakegate.settings import Settings
from lakegate.slices import parse_predicate


@dataclass(frozen=True)
class PublicationRequest:
    """What a person asked for, checked before anything is read."""

    declaration: DatasetDeclaration
    declaration_text: str
    dataset: str
    source: str  # a folder, a file, an archive, or an address: see lakegate.lifecycle.sources
    images: str
    source_format: str
    version: str
    message: str
    where: str = ""
    licence: str = ""

    @classmethod
    def from_words(
        cls,
        settings: Settings,
        dataset: str,
        source: str,
        version: str,
        images: str,
        source_format: str,
        message: str,
        where: str = "",
        licence: str = "",
    ) -> "PublicationRequest":
        """Check the words of a form.

        Raises:
            UnknownName, BadDeclaration, BadInput: dataset, version name, filter or folder is not usable.
        """
        load_dataset(settings, dataset)
        if where.strip():
            parse_predicate(where)  # the labels that it names are checked against the export, too
        check_version_name(version)
        check_address(source, "source")
        if images:
            check_address(images, "images")
        path = declaration_path(settings, dataset)
        text = path.read_text()
        return cls(
            declaration=parse_dataset(dataset, text, str(path)),
            declaration_text=text,
            dataset=dataset,
            source=source,
            images=images,
            source_format=source_format,
            version=version,
            message=message.strip() or f"Publish {dataset}@{version}",
            where=where.strip(),
            licence=licence.strip(),
        )

    @property
    def reference(self) -> str:
        """``dataset@version``."""
        return f"{self.dataset}@{self.version}"
